"""A folder as a hub repository holds it, and its upload.

The folder is complete without a connection: ``datasets.load_dataset`` and ``from_pretrained`` read
it. Uploading is left to ``huggingface_hub`` and happens only where it has a token.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tratree_cli.display.text import one_line
from tratree_cli.errors import InputError, StageError
from tratree_cli.models.folder_checks import read_config
from tratree_cli.models.load import ADAPTER_FILE, BASE_FILE
from tratree_cli.publishing.cards import (
    Published,
    dataset_card,
    licence_of,
    model_card,
    published,
)
from tratree_cli.publishing.records import dataset_rows

if TYPE_CHECKING:
    from tratree_store import Entry, Store

_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
CARD = "README.md"


def is_repository(place: str) -> bool:
    """Whether ``place`` is ``OWNER/NAME`` on the hub: such a form, and no folder ``OWNER`` here."""
    return bool(_REPOSITORY.fullmatch(place)) and not Path(place).parent.is_dir()


def repository_type(entries: Sequence[Entry]) -> str:
    """``model`` or ``dataset``; raises InputError for a mixture."""
    models = [entry for entry in entries if entry.kind == "model"]
    if models and len(entries) > 1:
        raise InputError("a model has a repository of its own; export each model by itself")
    return "model" if models else "dataset"


def write_hub_folder(
    store: Store, entries: Sequence[Entry], folder: Path, licence: str | None = None
) -> None:
    """Write data or weights with a card into ``folder``, which must be empty or absent.

    What it needs is written beside it first, so a folder that exists is complete.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not an empty folder; choose another one")
    kind = repository_type(entries)
    items = [published(store, entry) for entry in entries]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".tratree-", dir=folder.parent) as beside:
            made = Path(beside) / "hub"
            made.mkdir()
            if kind == "model":
                _write_model(store, items[0], made, licence)
            else:
                _write_dataset(items, made, licence)
            made.replace(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror}") from error


def _write_dataset(items: Sequence[Published], folder: Path, licence: str | None) -> None:
    kinds = [item.entry.kind for item in items]
    named = {
        kind if kinds.count(kind) == 1 else f"{kind}-{item.entry.object[:8]}": item
        for kind, item in zip(kinds, items, strict=True)
    }
    for name, item in named.items():
        (folder / name).mkdir()
        with (folder / name / "train.jsonl").open("wb") as file:
            for row in dataset_rows(item.entry):
                file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
    (folder / CARD).write_text(dataset_card(named, licence_of(items, licence)), encoding="utf-8")


def _write_model(store: Store, item: Published, folder: Path, licence: str | None) -> None:
    _copy(item.entry.path, folder)
    usage = (
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER_OR_REPOSITORY")\n'
        'model = AutoModelForCausalLM.from_pretrained("FOLDER_OR_REPOSITORY")'
    )
    if (folder / ADAPTER_FILE).is_file():
        usage = _place_base(store, folder)
    card = model_card(item, evaluations_of(store, item.entry), licence_of([item], licence), usage)
    (folder / CARD).write_text(card, encoding="utf-8")


def _place_base(store: Store, folder: Path) -> str:
    """Give an adapter the model it belongs to; return how both are loaded.

    A model of the hub is named; one that only the store holds travels in ``base/``.
    """
    base = read_config(folder / BASE_FILE) if (folder / BASE_FILE).is_file() else {}
    name, loaded = str(base.get("name") or ""), '"FOLDER/base"'
    if "object" in base:
        _copy(store.resolve(f"model:{base['object']}").path, folder / "base")
    elif name and not Path(name).is_dir() and name.count("/") == 1:
        loaded = f'"{name.partition("@")[0]}"'
        config = orjson.loads((folder / ADAPTER_FILE).read_bytes())
        config["base_model_name_or_path"] = name.partition("@")[0]
        written = orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        (folder / ADAPTER_FILE).write_bytes(written + b"\n")
    else:
        from tratree_cli.models.load import adapter_base

        _copy(adapter_base(folder).folder, folder / "base")
    if (folder / "base").is_dir():
        (folder / BASE_FILE).unlink(missing_ok=True)  # it may name a folder of this machine
    return (
        "from peft import PeftModel\n"
        "from transformers import AutoModelForCausalLM\n\n"
        f"base = AutoModelForCausalLM.from_pretrained({loaded})\n"
        'model = PeftModel.from_pretrained(base, "FOLDER")'
    )


def _copy(source: Path, folder: Path) -> None:
    """The files of ``source``, writable; an artifact's own are read-only."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def evaluations_of(store: Store, model: Entry) -> list[Entry]:
    """Evaluations of exactly these weights that the store holds, newest last, one a setting."""
    found: dict[str, Entry] = {}
    for entry in store.entries(kind="evaluation"):
        if entry.inputs.get("policy") == (model.object,):
            found.setdefault(entry.recipe, entry)
    return sorted(found.values(), key=lambda entry: entry.created)


def token() -> str | None:
    """The hub's token on this machine, if there is one."""
    from huggingface_hub import get_token

    return get_token()


def push_folder(folder: Path, repository: str, kind: str, *, public: bool) -> str:
    """Upload ``folder`` as ``OWNER/NAME``; return the address of the commit.

    The repository is made if need be, private unless ``public``. Raises StageError with the hub's
    own words when it refuses.
    """
    from huggingface_hub import HfApi

    api: Any = HfApi()
    try:
        api.create_repo(repository, repo_type=kind, private=not public, exist_ok=True)
        done = api.upload_folder(
            repo_id=repository,
            repo_type=kind,
            folder_path=folder,
            commit_message="Written by tratree",
        )
    except Exception as error:
        words = one_line(str(error).strip() or type(error).__name__, 200).rstrip(".")
        raise StageError(
            f"{repository} could not be pushed: {words}; run it again later"
        ) from error
    return str(done.commit_url)

"""Finding, identifying and loading models: embedded names, folders, and names on the hub.

A base model's identity enters every digest downstream of it, so it is settled before anything is
loaded: the bytes of a folder, or the commit that a hub name points to now.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tratree_cli.models.library_logging  # noqa: F401  (sets what the libraries read at import time)
from tratree_cli.errors import InputError, did_you_mean, is_out_of_memory
from tratree_cli.models.embedded import SHAPES
from tratree_cli.models.fast_imports import MODELS, TOKENIZERS, import_fast
from tratree_cli.resources import templates_dir, tree_digest

EMBEDDED = tuple(SHAPES)
ADAPTER_FILE = "adapter_config.json"
BASE_FILE = "base.json"
"""In an adapter's folder: the model it belongs to (``name`` and ``identity``, or the ``object`` of
the same store)."""
UNRESOLVED = "unresolved"
COMMIT = re.compile(r"[0-9a-f]{40}")
HUB_SECONDS = 10.0


@dataclass(frozen=True)
class BaseModel:
    """A model to start from: where it lies, and what identifies it in a digest.

    ``identity`` is ``sha256:...`` of a folder's content or ``hub:NAME@COMMIT``; the commit is
    ``unresolved`` where the hub could not be asked.
    """

    name: str
    folder: Path
    identity: str


def require_resolved(identity: str) -> None:
    """Raise what keeps a hub model from being used, before anything is computed for it."""
    name, _, commit = identity.removeprefix("hub:").partition("@")
    if commit == UNRESOLVED:
        resolve_base(name)


def resolve_base(name: str, revision: str | None = None, download: bool = True) -> BaseModel:
    """The base model that ``name`` means: embedded, a local folder, or on the hub.

    A hub name may be pinned, ``NAME@REVISION``. With ``download`` off it is identified but not
    fetched (``folder`` may not exist then), so that a plan costs nothing; without a connection its
    commit is ``unresolved``.
    """
    folder = Path(name)
    if name in EMBEDDED:
        folder = templates_dir() / "models" / name
        if not (folder / "config.json").is_file():
            raise InputError(
                f"the embedded model '{name}' is missing in {folder}; reinstall tratree"
            )
        return BaseModel(name, folder, f"sha256:{tree_digest(folder)}")
    if folder.is_dir():
        if not any((folder / file).is_file() for file in ("config.json", "adapter_config.json")):
            raise InputError(
                f"{folder} is not a model folder: it has neither config.json nor "
                "adapter_config.json"
            )
        return BaseModel(name, folder, f"sha256:{tree_digest(folder)}")
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise InputError(
            f"there is no model '{name}'{did_you_mean(name, EMBEDDED)}; give an embedded name "
            f"({', '.join(EMBEDDED)}), a folder, or a hub name like Qwen/Qwen2.5-0.5B-Instruct"
        )
    repository, _, pinned = name.partition("@")
    return _hub_model(repository, revision or pinned or None, download)


def _hub_model(name: str, revision: str | None, download: bool) -> BaseModel:
    if revision is not None and COMMIT.fullmatch(revision) and not download:
        return BaseModel(name, Path(name), f"hub:{name}@{revision}")
    import huggingface_hub
    from huggingface_hub import errors

    try:
        model_info = huggingface_hub.HfApi().model_info(
            name, revision=revision, timeout=HUB_SECONDS
        )
        commit = model_info.sha
    except errors.GatedRepoError as error:
        raise InputError(_gated(name)) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"'{name}' has no revision '{revision}' on the hub") from error
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"the hub knows no model '{name}'; check the name, or log in if it is private "
            "(`hf auth login`)"
        ) from error
    except Exception as error:
        commit = _cached_commit(name, revision)
        if commit is None and not download:
            return BaseModel(name, Path(name), f"hub:{name}@{UNRESOLVED}")
        if commit is None:
            raise InputError(
                f"'{name}' is not on this machine and the hub cannot be reached "
                f"({type(error).__name__}); connect, or give a model folder"
            ) from error
    identity = f"hub:{name}@{commit}"
    if not download:
        return BaseModel(name, Path(name), identity)
    try:
        folder = huggingface_hub.snapshot_download(
            name,
            revision=commit,
            allow_patterns=["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"],
        )
    except errors.GatedRepoError as error:
        raise InputError(_gated(name)) from error
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"'{name}' could not be downloaded ({first}); try again later") from error
    return BaseModel(name, Path(folder), identity)


def pinned_commit(identity: str, name: str) -> str | None:
    """The commit in a hub model's ``identity``, if it is one of ``name``'s."""
    repository, _, commit = identity.partition("@")
    wanted = name.partition("@")[0]
    return commit if repository == f"hub:{wanted}" and commit != UNRESOLVED else None


def _gated(name: str) -> str:
    return (
        f"'{name}' is gated: accept its licence on its hub page and log in "
        "(`hf auth login`), then run again"
    )


def _cached_commit(name: str, revision: str | None) -> str | None:
    """The commit of a copy that an earlier run downloaded, the newest one, or None."""
    import huggingface_hub
    from huggingface_hub import constants

    cached = huggingface_hub.try_to_load_from_cache(name, "config.json", revision=revision)
    if isinstance(cached, str):
        return Path(cached).parent.name
    if revision is not None:
        return None
    # What was fetched by its commit has no branch that points to it.
    copies = Path(constants.HF_HUB_CACHE) / f"models--{name.replace('/', '--')}" / "snapshots"
    whole = [path.parent for path in copies.glob("*/config.json")]
    return max(whole, key=lambda path: path.stat().st_mtime).name if whole else None


def context_length(folder: Path) -> int | None:
    """Tokens the model was made for (``max_position_embeddings``), or None if it does not say."""
    if (folder / ADAPTER_FILE).is_file():
        folder = adapter_base(folder).folder
    config = read_json(folder / "config.json") if (folder / "config.json").is_file() else {}
    text = config.get("text_config")
    length = {**config, **(text if isinstance(text, dict) else {})}.get("max_position_embeddings")
    return int(length) if isinstance(length, int) else None


def longest_row(folder: Path, max_length: int | None) -> int | None:
    """Tokens that a row may have: ``max_length``, but never more than the model can read."""
    limits = [limit for limit in (max_length, context_length(folder)) if limit]
    return min(limits, default=None)


def read_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model folder as it is there, which is what a model acts with.

    ``InputError`` where there is none.
    """
    import_fast(*TOKENIZERS)
    from transformers import AutoTokenizer

    folder = Path(folder)
    if not any((folder / file).is_file() for file in ("tokenizer.json", "tokenizer.model")):
        raise InputError(
            f"the model folder {folder} has no tokenizer (tokenizer.json); copy the base model's "
            "tokenizer files there"
        )
    with readable("tokenizer", folder):
        return AutoTokenizer.from_pretrained(folder.resolve(), local_files_only=True)


def load_tokenizer(folder: str | Path) -> Any:
    """The tokenizer of a model folder for training.

    It has a padding token and, where possible, a chat template that marks the agent's words; the
    template is stored with what is trained. ``template_note`` says if it is not the model's own.
    """
    from tratree_cli.models.chat_templates import marked_template

    tokenizer = read_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    own = tokenizer.chat_template
    tokenizer.chat_template, tokenizer.template_note = marked_template(tokenizer)
    tokenizer.template_changed = tokenizer.chat_template != own
    return tokenizer


def load_model(
    folder: str | Path, dtype: str = "float32", attention: str = "auto", merge: bool = True
) -> Any:
    """A causal language model in evaluation mode; adapters are merged into their base.

    With ``merge`` off an adapter stays beside the layers of its base, in the type that it is stored
    in: a base in bfloat16 has no room for it. Raises ``InputError`` when the folder, or the base of
    an adapter, is missing or unreadable.
    """
    import_fast(*MODELS)
    import torch
    from transformers import AutoModelForCausalLM

    folder = Path(folder)
    if (folder / ADAPTER_FILE).is_file():
        from peft import PeftModel

        base = adapter_base(folder).folder
        # Added in float32: in bfloat16 the sum would be the old weight again.
        model = load_model(base, "float32" if merge else dtype, attention)
        with readable("adapter", folder):
            adapted = PeftModel.from_pretrained(model, str(folder.resolve()))
        if not merge:
            return adapted.base_model.model.eval()
        return adapted.merge_and_unload().to(getattr(torch, dtype)).eval()
    options: dict[str, Any] = {"dtype": getattr(torch, dtype), "local_files_only": True}
    if attention != "auto":
        options["attn_implementation"] = attention
    with readable("model", folder):
        return AutoModelForCausalLM.from_pretrained(folder.resolve(), **options).eval()


@contextmanager
def readable(what: str, folder: Path) -> Iterator[None]:
    """Files that cannot be read are a sentence; a lack of memory is no fault of theirs."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        if is_out_of_memory(error):
            raise MemoryError(f"no room for {folder}") from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the {what} in {folder} cannot be loaded: {first}") from error


def adapter_base(folder: Path) -> BaseModel:
    """The model that the adapter in ``folder`` belongs to: of the same store, a folder, or the hub.

    Raises ``InputError`` when it is gone or is not what it was when the adapter was trained.
    """
    base = read_json(folder / BASE_FILE) if (folder / BASE_FILE).is_file() else {}
    if "object" in base:
        return _stored_base(folder, str(base["object"]))
    config = read_json(folder / ADAPTER_FILE)
    name = str(base.get("name") or config.get("base_model_name_or_path") or "")
    try:
        commit = pinned_commit(str(base.get("identity", "")), name)
        resolved = resolve_base(name, commit or config.get("revision"))
    except InputError as error:
        raise InputError(
            f"{folder} is an adapter of '{name}', which is missing here: {error}"
        ) from error
    if base.get("identity") and base["identity"] != resolved.identity:
        raise InputError(
            f"{folder} is an adapter of '{name}' as it was ({base['identity'][:19]}…), but that is "
            f"now {resolved.identity[:19]}…; restore the base model it was trained on"
        )
    return resolved


def _stored_base(folder: Path, digest: str) -> BaseModel:
    """The object beside ``folder`` in its store: ``objects/ab/cdef…/files``."""
    place = folder.resolve().parents[2] / digest[:2] / digest[2:] / "files"
    if not place.is_dir():
        raise InputError(
            f"{folder} is an adapter of model:{digest[:12]}, which is missing in its store; make "
            "that model again, or pull it (tratree store pull)"
        )
    return BaseModel(f"model:{digest}", place, f"object:{digest}")


def read_json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content

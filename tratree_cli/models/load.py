"""Finding, identifying and loading models: embedded names, folders, and names on the hub.

A base model's identity enters every digest downstream of it, so it is determined before anything is
loaded: the bytes of a folder, or the commit that a hub name points to now.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tratree_cli.models.library_logging  # noqa: F401  (sets what the libraries read at import time)
from tratree_cli.errors import InputError, did_you_mean, is_out_of_memory
from tratree_cli.models import base_folders
from tratree_cli.models.embedded import SHAPES
from tratree_cli.models.fast_imports import MODELS, TOKENIZERS, import_fast
from tratree_cli.models.folder_checks import (
    read_config,
    remote_code_allowed,
    require_fitting_sizes,
    require_plain_folder,
    require_weights,
)
from tratree_cli.models.held import held_dtype
from tratree_cli.resources import templates_dir, tree_digest

EMBEDDED = tuple(SHAPES)
ADAPTER_FILE = "adapter_config.json"
BASE_FILE = "base.json"
"""In an adapter's folder: the model it belongs to (``name``, of a folder the last one alone, and
``identity``, or the ``object`` of the same store)."""
UNRESOLVED = "unresolved"
COMMIT = re.compile(r"[0-9a-f]{40}")
OBJECT = re.compile(r"[0-9a-f]{64}")
SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
HUB_SECONDS = 10.0


@dataclass(frozen=True)
class BaseModel:
    """A model to start from: its folder, and what identifies it in a digest.

    ``identity`` is ``sha256:...`` of a folder's content or ``hub:NAME@COMMIT``; the commit is
    ``unresolved`` where the hub could not be reached.
    """

    name: str
    folder: Path
    identity: str


def is_own_folder(name: str) -> bool:
    """Whether a base model's name is that of a folder, neither embedded nor on the hub."""
    return name not in EMBEDDED and Path(name).is_dir()


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
        require_plain_folder(folder)
        base = BaseModel(name, folder, f"sha256:{tree_digest(folder)}")
        base_folders.remember(base.identity, folder)
        return base
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
    wanted = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
    wanted += ["*.py"] if remote_code_allowed() else []
    try:
        folder = huggingface_hub.snapshot_download(name, revision=commit, allow_patterns=wanted)
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
    """Tokens the model was made for (``max_position_embeddings``), or None without that entry."""
    if (folder / ADAPTER_FILE).is_file():
        folder = adapter_base(folder).folder
    config = read_config(folder / "config.json") if (folder / "config.json").is_file() else {}
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
    require_plain_folder(folder)
    with readable("tokenizer", folder):
        return AutoTokenizer.from_pretrained(
            folder.resolve(), local_files_only=True, trust_remote_code=remote_code_allowed()
        )


def load_tokenizer(folder: str | Path, arguments: Mapping[str, Any] | None = None) -> Any:
    """The tokenizer of a model folder for training.

    It has a padding token and, where possible, a chat template that marks the agent's words; the
    template is stored with what is trained. ``template_note`` is set if it is not the model's own.
    ``arguments`` are set in it (``template_arguments``).
    """
    from tratree_cli.models.chat_templates import marked_template
    from tratree_cli.models.template_arguments import with_arguments

    tokenizer = read_tokenizer(folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    own = tokenizer.chat_template
    tokenizer.chat_template, tokenizer.template_note = marked_template(tokenizer)
    tokenizer.chat_template = with_arguments(
        tokenizer.chat_template, arguments or {}, f"chat_template_kwargs of {folder}"
    )
    tokenizer.template_changed = tokenizer.chat_template != own
    return tokenizer


def load_model(
    folder: str | Path,
    dtype: str = "float32",
    attention: str = "auto",
    merge: bool = True,
    adapters: tuple[Path, ...] = (),
) -> Any:
    """A causal language model in evaluation mode; adapters are merged into their base.

    With ``merge`` off an adapter stays beside the layers of its base, in the type that it is stored
    in: a base in bfloat16 has no room for it. ``adapters`` are the folders of those that are being
    loaded onto it. Raises ``InputError`` when the folder, or the base of an adapter, is missing,
    unreadable or would run code.
    """
    import_fast(*MODELS)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = Path(folder)
    require_plain_folder(folder)
    if (folder / ADAPTER_FILE).is_file():
        from peft import PeftModel

        require_weights(folder)
        if folder.resolve() in adapters:
            raise InputError(f"{folder} is an adapter of itself; name the model it was trained on")
        base = adapter_base(folder).folder
        # Added in float32: in bfloat16 the sum would be the old weight again. A base that was
        # trained itself is held in what keeps that.
        kind = "float32" if merge else held_dtype(base, dtype)
        model = load_model(base, kind, attention, adapters=(*adapters, folder.resolve()))
        with readable("adapter", folder):
            adapted = PeftModel.from_pretrained(model, str(folder.resolve()))
        if not merge:
            return adapted.base_model.model.eval()
        merged = adapted.merge_and_unload().to(getattr(torch, dtype)).eval()
        # Under an adapter weights are frozen; a model of its own can be trained.
        return merged.requires_grad_(True)
    weight_bytes = require_weights(folder)
    options: dict[str, Any] = {
        "dtype": getattr(torch, dtype),
        "local_files_only": True,
        "use_safetensors": True,
        "trust_remote_code": remote_code_allowed(),
    }
    if attention != "auto":
        options["attn_implementation"] = attention
    with readable("model", folder):
        config = AutoConfig.from_pretrained(
            folder.resolve(), local_files_only=True, trust_remote_code=remote_code_allowed()
        )
        require_fitting_sizes(folder, config, weight_bytes)
        return AutoModelForCausalLM.from_pretrained(folder.resolve(), **options).eval()


@contextmanager
def readable(what: str, folder: Path) -> Iterator[None]:
    """Unreadable files are an ``InputError``; a lack of memory is not reported as one.

    Whatever a library raises over a folder is the folder's fault: what is in it decides which
    error that is, a panic of the tokenizers' Rust code (no ``Exception``) among them.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if is_out_of_memory(error):
            raise MemoryError(f"no room for {folder}") from error
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"the {what} in {folder} cannot be loaded: {first}") from error


def adapter_base(folder: Path) -> BaseModel:
    """The model that the adapter in ``folder`` belongs to: of the same store, a folder, or the hub.

    A folder is known by its digest, and found where it was last named as a base model. Raises
    ``InputError`` when it is gone or is not what it was when the adapter was trained.
    """
    base = read_config(folder / BASE_FILE) if (folder / BASE_FILE).is_file() else {}
    if "object" in base:
        return _stored_base(folder, str(base["object"]))
    config = read_config(folder / ADAPTER_FILE)
    name = str(base.get("name") or config.get("base_model_name_or_path") or "")
    identity = str(base.get("identity") or "")
    here = base_folders.remembered(identity) if SHA256.fullmatch(identity) else None
    if here is not None and name not in EMBEDDED and not Path(name).is_dir():
        name = str(here)
    try:
        commit = pinned_commit(str(base.get("identity", "")), name)
        resolved = resolve_base(name, commit or config.get("revision"))
    except InputError as error:
        raise InputError(
            f"{folder} is an adapter of '{name}'{_unknown(identity, name)}, which is missing here: "
            f"{error}"
        ) from error
    if identity and identity != resolved.identity:
        raise InputError(
            f"{folder} is an adapter of '{name}' as it was ({identity[:19]}…), but that is "
            f"now {resolved.identity[:19]}…; restore the base model it was trained on"
        )
    return resolved


def _unknown(identity: str, name: str) -> str:
    """How a base that was a folder is made known where only its digest is."""
    if not SHA256.fullmatch(identity) or name in EMBEDDED:
        return ""
    return f" ({identity[:19]}…; name its folder once: tratree sft --model FOLDER --dry-run)"


def _stored_base(folder: Path, digest: str) -> BaseModel:
    """The object beside ``folder`` in its store: ``objects/ab/cdef…/files``."""
    if not OBJECT.fullmatch(digest):
        raise InputError(
            f"{folder / BASE_FILE}: '{digest[:80]}' is no object of a store (64 hexadecimal "
            "digits); the file is damaged"
        )
    place = folder.resolve().parents[2] / digest[:2] / digest[2:] / "files"
    if not place.is_dir():
        raise InputError(
            f"{folder} is an adapter of model:{digest[:12]}, which is missing in its store; make "
            "that model again, or pull it (tratree store pull)"
        )
    return BaseModel(f"model:{digest}", place, f"object:{digest}")

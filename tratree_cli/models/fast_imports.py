"""Importing the large libraries without the packages that tratree never uses.

Imports are most of what a short stage costs, and a good part of them is not needed: SciPy's
optimizers for the losses of object detectors, scikit-learn for assisted decoding, boto3 for
SageMaker, all of them imported wherever they happen to be installed; the metadata of
every installed package, read by two libraries one after the other; and a garbage collector that
looks again and again at modules that all stay. Inside ``hiding_unused_packages`` such packages look
as if they were not installed. A module keeps what was installed when it was imported; so this is
used for imports only, and the list holds nothing that a training or a rollout could ever need.
"""

from __future__ import annotations

import functools
import gc
import importlib
import importlib.metadata
import sys
from collections.abc import Iterator
from contextlib import contextmanager

HIDDEN = ("scipy", "sklearn", "boto3")
MODELS = ("torch", "transformers.modeling_utils", "transformers.generation.utils")
"""What loading any model imports."""
TOKENIZERS = ("transformers.models.auto.tokenization_auto", "transformers.activations")
"""What loading any tokenizer does: for its model's configuration, and that for its activations."""


@contextmanager
def hiding_unused_packages() -> Iterator[None]:
    """Imports inside the block go without ``HIDDEN`` and without the garbage collector."""
    hidden = [name for name in HIDDEN if name not in sys.modules]
    distributions, collecting = importlib.metadata.packages_distributions, gc.isenabled()
    gc.disable()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    importlib.metadata.packages_distributions = functools.cache(distributions)
    try:
        _forget_what_is_installed()
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, hidden) is None:
                del sys.modules[name]
        _forget_what_is_installed()
        importlib.metadata.packages_distributions = distributions
        if collecting:
            gc.enable()


def import_fast(*names: str) -> None:
    """Import modules by their names, hiding_unused_packages, unless they are there."""
    if not all(name in sys.modules for name in names):
        with hiding_unused_packages():
            for name in names:
                importlib.import_module(name)


def _forget_what_is_installed() -> None:
    """Transformers checks once whether a package is installed and caches the answer."""
    from transformers.utils import import_utils

    for name in HIDDEN:
        is_available = getattr(import_utils, f"is_{name}_available", None)
        if is_available is not None and hasattr(is_available, "cache_clear"):
            is_available.cache_clear()

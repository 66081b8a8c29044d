"""Switching off the output and the telemetry of the training libraries.

stdout carries one reference and stderr is for people, so nothing of transformers, TRL or datasets
may print there. Importing this module before them is enough for the environment variables they
read at import time; ``silence_libraries`` does the rest.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

for _name, _value in {
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRL_EXPERIMENTAL_SILENCE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}.items():
    os.environ.setdefault(_name, _value)

# TRL and PEFT call names of transformers that are about to go; users can do nothing about it.
warnings.filterwarnings("ignore", category=FutureWarning, module=r"transformers\..*")


@contextmanager
def silence_libraries() -> Iterator[None]:
    """Libraries print nothing inside this block; errors are still raised."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", UserWarning)
        yield

"""Imports what a trainer needs, fast; imported before the libraries themselves."""

from __future__ import annotations

import tratree_cli.models.library_logging  # noqa: F401  (sets what the libraries read at import time)
from tratree_cli.models.fast_imports import MODELS, import_fast

import_fast(*MODELS, "transformers.trainer", "datasets", "trl.trainer.sft_trainer")

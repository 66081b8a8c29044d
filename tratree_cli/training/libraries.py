"""Imports what a trainer needs, once and leanly; imported before the libraries themselves."""

from __future__ import annotations

import tratree_cli.training.quiet  # noqa: F401  (sets what the libraries read at import time)
from tratree_cli.training.lean import MODELS, import_leanly

import_leanly(*MODELS, "transformers.trainer", "datasets", "trl.trainer.sft_trainer")

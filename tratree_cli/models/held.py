"""In what type a stored model may be held without losing what it was taught.

A weight that a training moved by less than bfloat16's spacing (0.4 %) is the old weight again when
it is held in bfloat16: a model that was trained at the paper's learning rates and stored in float32
is its base there, whatever is trained or scored with it afterwards. What a training recorded
(``update_kept``, ``models.merge``) decides; a trained model without such a record, and an adapter
that is merged when it is loaded, are held as they are stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NEARLY_ALL = 0.99
"""A type that keeps less of an update than this share is warned about, and not used by itself."""
FLOAT32 = "float32"
ADAPTER_FILE, RECORD = "adapter_config.json", "training.json"


def held_dtype(folder: Path, dtype: str) -> str:
    """``dtype``, or float32 where that would lose what the model in ``folder`` learnt last."""
    return dtype if kept_share(folder, dtype) >= NEARLY_ALL else FLOAT32


def kept_share(folder: Path, dtype: str) -> float:
    """The share of the last update that ``dtype`` keeps; 0 where it is not known, 1 untrained."""
    if dtype == FLOAT32:
        return 1.0
    if (folder / ADAPTER_FILE).is_file():
        return 0.0
    try:
        record: Any = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        stored = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("dtype")
        kept = record.get("update_kept", {})
        return float(kept.get(dtype, 1.0 if stored == dtype else 0.0))
    except (OSError, ValueError, AttributeError):
        return 1.0


def held_warning(folder: Path, name: str, dtype: str) -> str | None:
    """What is said where a model is held in float32 though ``dtype`` was meant."""
    if held_dtype(folder, dtype) == dtype:
        return None
    kept = kept_share(folder, dtype)
    why = f"keep only {100 * kept:.0f} % of what it learnt" if kept else "not keep what it learnt"
    return f"{name} is held in float32, because {dtype} would {why}"

"""Which models can be computed on a trie, and why others cannot."""

from __future__ import annotations

from typing import Any

FULL, SLIDING = "full_attention", "sliding_attention"


def why_not_packed(model: Any) -> str:
    """Why ``model`` has to be computed row by row; empty if it can be packed."""
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or (FULL,)
    other = [kind for kind in dict.fromkeys(kinds) if kind not in (FULL, SLIDING)]
    if other:
        return f"its layers have {', '.join(other)}, which no tree can mask"
    if getattr(config, "use_bidirectional_attention", False):
        return "its attention is bidirectional"
    return ""

"""Which models can be computed on a trie, and why others cannot."""

from __future__ import annotations

from typing import Any

from tratree_cli.training.tree_packing.masks import FULL, SLIDING, layer_kinds

ATTENTION = ("sdpa", "eager")
"""Implementations that take a mask of our own; flash attention takes none."""


def why_not_packed(model: Any) -> str:
    """Why ``model`` has to be computed row by row; empty if it can be packed."""
    config = model.config.get_text_config()
    if getattr(config, "model_type", "") in ("mamba", "mamba2", "rwkv"):
        return f"{config.model_type} has no attention that could be masked"
    other = [kind for kind in layer_kinds(config) if kind not in (FULL, SLIDING)]
    if other:
        return f"its layers have {', '.join(other)}, which cannot be masked by a tree"
    if getattr(config, "use_bidirectional_attention", False):
        return "its attention is bidirectional"
    if config._attn_implementation not in ATTENTION:
        return f"{config._attn_implementation} takes no mask; set sft.attention=sdpa"
    return ""

"""Which models can be computed on a trie, and why others cannot."""

from __future__ import annotations

from typing import Any

FULL, SLIDING = "full_attention", "sliding_attention"
RESCALING = (
    "final_logit_softcapping",
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "router_aux_loss_coef",
)
"""Configuration keys of models whose head is more than a projection: it has to be called whole."""


def head_rescales(model: Any) -> bool:
    """Whether the logits of ``model`` are more than its head's projection of hidden states."""
    config = model.config.get_text_config()
    return any(getattr(config, key, None) is not None for key in RESCALING)


def why_not_packed(model: Any) -> str:
    """Why ``model`` has to be computed row by row; empty if it can be packed."""
    config = model.config.get_text_config()
    if head_rescales(model):
        return "its head rescales the logits"
    kinds = getattr(config, "layer_types", None) or (FULL,)
    other = [kind for kind in dict.fromkeys(kinds) if kind not in (FULL, SLIDING)]
    if other:
        return f"its layers have {', '.join(other)}, which no tree can mask"
    if getattr(config, "use_bidirectional_attention", False):
        return "its attention is bidirectional"
    return ""

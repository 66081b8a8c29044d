"""A wider member of the family that begins as a narrower one (Net2Net, Chen et al. 2016).

What the small one has learned is not learned again: its weights become a corner of the wide ones
and everything new begins silent. New heads look at random but are not listened to, new dimensions
of the residual stream are written by nobody, so that before the first step both give the same
answers; the gradient wakes them. The wide member then reads on, and can only become better than
the one it came from.
"""

from __future__ import annotations

from typing import Any

from tratree_cli.pretraining.model import HEAD, SHAPES, new_model


def grown(small: Any, name: str, tokenizer: Any, seed: int) -> Any:
    """A model of size ``name`` that gives the logits of ``small``, a narrower one (float32)."""
    import torch

    shape = SHAPES[name]
    wide = new_model(shape, tokenizer, seed)
    before, after = small.config.hidden_size, shape.width
    # A root mean square over silent dimensions too is smaller by this much.
    quieter = (before / after) ** 0.5
    theirs = dict(small.named_parameters())
    with torch.no_grad():
        for key, weight in wide.named_parameters():
            old = theirs[key].float()
            if weight.dim() == 1:
                weight.fill_(quieter)
                weight[: len(old)] = quieter * old
            elif "embed" in key:
                weight[:, before:] = 0.0
                weight[:, :before] = old
            else:
                _corner(key, weight, old)
    assert all(weight.shape[0] % HEAD == 0 for key, weight in theirs.items() if "q_proj" in key)
    return wide


def _corner(key: str, weight: Any, old: Any) -> None:
    """Put a projection's ``old`` weights into the corner of ``weight``; silence what is new.

    New units (rows) keep their fresh weights on the old inputs; new inputs of old units and all
    that would write into the residual stream from or to new places are zero.
    """
    rows, columns = old.shape
    if key.endswith(("o_proj.weight", "down_proj.weight")):
        weight.zero_()
    else:
        weight[:rows, columns:] = 0.0
    weight[:rows, :columns] = old

"""A wider member of the family that begins as a narrower one (Net2Net, Chen et al. 2016).

The small model's weights become a corner of the wide ones, and everything new has no effect at
first: the outputs of new heads are multiplied by zero and nothing is written into the new
dimensions of the residual stream, so that before the first step both models give the same logits.
Training then goes on with the wide model.

A member with another vocabulary begins the same way: tokens of both keep their vector, every other
token gets a fresh one. Copying and matching do not depend on which words they were learned with.
"""

from __future__ import annotations

from typing import Any

from tratree_cli.models.embedded import HEAD, SHAPES
from tratree_cli.pretraining.model import new_model


def grown(small: Any, small_tokenizer: Any, name: str, tokenizer: Any, seed: int) -> Any:
    """A model of size ``name`` that gives the logits of ``small`` (float32, at most as wide).

    ``small_tokenizer`` is that of ``small``, ``tokenizer`` the new model's; where they are one, the
    logits of all tokens are the same, else those of the tokens that both have.
    """
    import torch

    shape = SHAPES[name]
    wide = new_model(shape, tokenizer, seed)
    before, after = small.config.hidden_size, shape.width
    # A root mean square over silent dimensions too is smaller by this much.
    quieter = (before / after) ** 0.5
    small_weights = dict(small.named_parameters())
    # The new heads follow the old ones, so these must be whole.
    assert before % HEAD == 0
    with torch.no_grad():
        for key, weight in wide.named_parameters():
            old = small_weights[key].float()
            if weight.dim() == 1:
                weight.fill_(quieter)
                weight[: len(old)] = quieter * old
            elif "embed" in key:
                shared, small_shared = _shared(tokenizer, small_tokenizer)
                weight.mul_(old.std() / weight.std())
                weight[:, before:] = 0.0
                weight[shared, :before] = old[small_shared]
            else:
                _corner(key, weight, old)
    return wide


def _shared(tokenizer: Any, small_tokenizer: Any) -> tuple[list[int], list[int]]:
    """Tokens of the same text in both vocabularies."""
    known = small_tokenizer.get_vocab()
    pairs = [(own, known[text]) for text, own in tokenizer.get_vocab().items() if text in known]
    return [own for own, _ in pairs], [small for _, small in pairs]


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

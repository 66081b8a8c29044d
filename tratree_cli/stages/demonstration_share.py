"""Demonstrations among the rows of imitated paths: which, how many, and in how many updates.

``train.demo_share`` is the share s of demonstrations among the rows of a pass. P paths get
round(P·s / (1 − s)) demonstrations beside them, the same in every pass: the demonstrations are put
in an order that the seed draws, and taken in that order, from the first again where there are not
enough. The trainer orders all rows of a pass anew, so that a batch has the share on average. A
pass is longer by the demonstrations; a control at equal updates counts them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, TypeVar

from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.training.trainer import Conversations

DEMONSTRATIONS = "demonstrations"
"""The role of the demonstrations that are mixed in, among the inputs of a training on paths."""

_Row = TypeVar("_Row")


def demonstrations_beside(paths: int, share: float) -> int:
    """How many demonstrations stand beside so many paths, in each pass."""
    return round(paths * share / (1 - share))


def drawn(rows: Sequence[_Row], count: int, seed: int) -> list[_Row]:
    """``count`` of ``rows`` in an order of the seed; each comes once before any comes again."""
    order = list(range(len(rows)))
    Random(f"demonstrations {seed}").shuffle(order)
    return [rows[order[number % len(order)]] for number in range(count)]


def with_demonstrations(
    paths: Conversations, demonstrations: Conversations, share: float, seed: int
) -> Conversations:
    """The paths, then the demonstrations beside them.

    Raises ``InputError`` where there are none, and where they have a prompt of another length.
    """
    from tratree_cli.training.trainer import Conversations

    count = demonstrations_beside(len(paths), share)
    if not count:
        return paths
    if not len(demonstrations):
        raise InputError("train.demo_share asks for demonstrations, and there are none")
    if demonstrations.prefix != paths.prefix:
        raise InputError(
            f"the demonstrations have a prompt of {demonstrations.prefix} messages, the paths one "
            f"of {paths.prefix}; mix only what one prompt was used for (train.demo_share)"
        )
    return Conversations(
        [*paths.messages, *drawn(demonstrations.messages, count, seed)], paths.prefix
    )

"""Which paths and which pairs meet in each update of joint training, planned before it begins.

Paths come in the batches that imitation makes of them, so that a joint training takes the steps of
imitation; pairs come shuffled, or as their curriculum orders them, and begin anew when they run
out. Everything follows from the rows, the parameters and the seed, so a resumed training meets the
same rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from tratree_cli.training.curriculum import RowsByDifficulty, difficulty, easy_first
from tratree_cli.training.data import PairRow, SFTRow
from tratree_cli.training.deterministic_trainer import BatchesByLength
from tratree_cli.training.params import JointParams
from tratree_cli.training.trainer_args import total_steps


@dataclass(frozen=True)
class JointBatch:
    """Row numbers of one forward pass of one process.

    ``tokens`` counts the agent's tokens of all paths of the update, over which the NLL is a mean.
    """

    paths: tuple[int, ...]
    pairs: tuple[int, ...]
    tokens: int


def joint_batches(
    paths: Sequence[SFTRow], pairs: Sequence[PairRow], config: JointParams, processes: int
) -> list[JointBatch]:
    """All batches in order: an update is ``accumulation * processes`` of them in a row.

    The update that ends a pass over the paths may have fewer of them, and batches without any.
    """
    passes = config.accumulation * processes
    preferences = _cycled(pairs, config)
    planned: list[JointBatch] = []
    for update in islice(
        _updates(paths, config, passes), total_steps(len(paths), config, processes)
    ):
        tokens = sum(paths[row].scored for batch in update for row in batch)
        planned += [
            JointBatch(batch, tuple(islice(preferences, config.batch_size)), tokens)
            for batch in update + [()] * (passes - len(update))
        ]
    return planned


def _updates(
    paths: Sequence[SFTRow], config: JointParams, passes: int
) -> Iterator[list[tuple[int, ...]]]:
    """The paths of each update, for ever: in the order that imitation has them."""
    order: RowsByDifficulty | BatchesByLength = BatchesByLength(
        [row.length for row in paths], config.batch_size, config.order_seed
    )
    if config.path_curriculum:
        order = RowsByDifficulty(difficulty(paths, config.path_curriculum), config.order_seed)
    epoch = 0
    while True:
        order.set_epoch(epoch)
        rows = list(order)
        size = config.batch_size
        batches = [tuple(rows[at : at + size]) for at in range(0, len(rows), size)]
        yield from (batches[at : at + passes] for at in range(0, len(batches), passes))
        epoch += 1


def _cycled(pairs: Sequence[PairRow], config: JointParams) -> Iterator[int]:
    """Row numbers of pairs, ordered anew in every pass; none where there are no pairs."""
    levels = difficulty(pairs, config.curriculum) if config.curriculum else [0.0] * len(pairs)
    epoch = 0
    while pairs:
        yield from easy_first(levels, config.order_seed, epoch)
        epoch += 1

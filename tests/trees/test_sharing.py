"""What trajectories of one tree share in characters: every distinct beginning counts once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees.making import SHOP
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.columns import columns_from_lists
from tratree_cli.trees.sharing import read_and_distinct

TASKS = st.lists(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


def test_trajectories_that_are_equal_are_read_once() -> None:
    columns = columns_from_rollouts(SHOP)
    characters = np.array([len(text) for text in SHOP.texts.texts])
    flat, distinct = read_and_distinct(columns, characters)
    assert flat > distinct > 0
    assert read_and_distinct(columns, np.zeros_like(characters)) == (0, 0)


@settings(deadline=None)
@given(TASKS)
def test_all_steps_are_read_and_distinct_beginnings_are_counted_once(
    tasks: list[list[list[int]]],
) -> None:
    trajectories = [(task, row) for task, rows in enumerate(tasks) for row in rows]
    columns = columns_from_lists(
        [str(task) for task, _ in trajectories],
        [[(text, text) for text in row] for _, row in trajectories],
        [1.0] * len(trajectories),
    )
    lengths = np.array([3, 1, 5])
    prefixes = {(task, tuple(row[: n + 1])) for task, row in trajectories for n in range(len(row))}
    flat = sum(int(lengths[row].sum()) for _, row in trajectories)
    unique = sum(int(lengths[prefix[-1]]) for _, prefix in prefixes)
    # A step reads its text twice: as the observation and as the output.
    assert read_and_distinct(columns, lengths) == (2 * flat, 2 * unique)

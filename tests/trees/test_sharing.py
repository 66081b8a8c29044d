"""What trajectories of one tree share in characters: every distinct beginning counts once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trees.making import SHOP
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.columns import columns_from_lists
from tratree_cli.trees.sharing import sharing_ratio

TASKS = st.lists(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=4), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


def test_trajectories_that_are_equal_are_read_once() -> None:
    columns = columns_from_rollouts(SHOP)
    characters = np.array([len(text) for text in SHOP.texts.texts])
    assert sharing_ratio(columns, characters) > 1
    assert sharing_ratio(columns, np.zeros_like(characters)) == 1.0


@given(TASKS)
def test_the_ratio_is_that_of_all_steps_to_distinct_beginnings(
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
    found = sharing_ratio(columns, lengths)
    assert found == pytest.approx(flat / unique)

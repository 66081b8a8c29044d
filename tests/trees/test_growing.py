"""A forest grown in several processes is the same forest."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np

from tratree_cli.stages.growing import grow
from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.columns import columns_from_lists


def test_processes_change_nothing_about_a_forest() -> None:
    generator = np.random.default_rng(5)
    tasks = [f"task-{number}" for number in generator.integers(0, 7, 60)]  # mixed, not in a row
    steps = [
        [tuple(step) for step in generator.integers(0, 2, (n, 2)).tolist()]
        for n in generator.integers(0, 6, 60)
    ]
    scores = [None if number == 4 else number / 3 for number in generator.integers(0, 5, 60)]
    columns = columns_from_lists(tasks, steps, scores)
    columns = replace(columns, tasks=(*columns.tasks, "nobody tried this one"))
    one = build_forest(columns)
    several = grow(columns, MergePolicy(), workers=3, enough=0)
    for field in fields(one):
        expected, found = getattr(one, field.name), getattr(several, field.name)
        if isinstance(expected, np.ndarray):
            assert expected.dtype == found.dtype, field.name
            assert expected.tobytes() == found.tobytes(), field.name
        elif field.name != "columns":
            assert expected == found


def test_a_small_forest_starts_no_processes(monkeypatch) -> None:
    monkeypatch.setattr("tratree_cli.stages.growing.ProcessPoolExecutor", None)
    columns = columns_from_lists(["a", "b"], [[(0, 1)], [(0, 1)]], [1.0, 0.0])
    assert len(grow(columns, MergePolicy(), workers=8)) == 4

"""Building and searching against linked nodes: same inputs, one run, as ratios.

python -m benchmarks.trees.compare [--repeats 3]
"""

from __future__ import annotations

import argparse
import time

from benchmarks.trees import linked
from benchmarks.trees.worlds import explorations
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.search.api import search

CASES = {
    "a  1824 x 6 x 8": (1824, 6, 8),
    "b  50 x 100 x 20": (50, 100, 20),
    "c  1 x 20000 x 30": (1, 20000, 30),
}


def clock(function, repeats):
    """The best of several runs in seconds, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        result = function()
        best = min(best, time.process_time() - start)
    return best, result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    print(
        f"{'case':<18} {'build M steps/s':>24} {'':>6} {'search M rollouts/s':>24} {'':>6}\n"
        f"{'':<18} {'linked':>12}{'columns':>12} {'ratio':>6} {'linked':>12}{'columns':>12} "
        f"{'ratio':>6}"
    )
    for name, (tasks, samples, steps) in CASES.items():
        columns = explorations(tasks, samples, steps)
        observations, actions = columns.observations.tolist(), columns.actions.tolist()
        scores, task = columns.score.tolist(), columns.task.tolist()
        pairs = list(zip(observations, actions, strict=True))
        lists = [
            (task[t], pairs[t * steps : (t + 1) * steps], scores[t]) for t in range(len(columns))
        ]
        plain_build, roots = clock(lambda: linked.build(tasks, lists), repeats)  # noqa: B023
        fast_build, forest = clock(lambda: build_forest(columns), repeats)  # noqa: B023

        def plain():
            roots = linked.build(tasks, lists)  # noqa: B023
            start = time.process_time()
            for root in roots:
                linked.search(root, 100)
            return time.process_time() - start, roots

        plain_search = min(plain()[0] for _ in range(repeats))
        fast_search, result = clock(lambda: search(forest), repeats)  # noqa: B023
        nodes = sum(1 for _ in walk(roots))
        assert nodes == len(forest), (nodes, len(forest))
        total, rollouts = columns.steps / 1e6, tasks * 100 / 1e6
        print(
            f"{name:<18} {total / plain_build:>12.2f}{total / fast_build:>12.2f} "
            f"{plain_build / fast_build:>6.1f} {rollouts / plain_search:>12.3f}"
            f"{rollouts / fast_search:>12.3f} {plain_search / fast_search:>6.1f}"
        )
        roots = linked.build(tasks, lists)
        for root in roots:
            linked.search(root, 100)
        assert [root.c for root in roots] == [100] * tasks
        assert result.visits[forest.roots].tolist() == [100] * tasks


def walk(roots):
    pending = list(roots)
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.children)


if __name__ == "__main__":
    main()

"""How often the path of a search is another one than the best recorded trajectory, and why.

In a deterministic environment every leaf has one score, so that a search with more rollouts than
leaves finds the best recorded trajectory or one under a branch whose mean is higher. Only where one
leaf has several scores is its mean better than any of them as an estimate of what the path is
worth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.api import SearchResult, best_observed


@dataclass(frozen=True)
class PathComparison:
    """e* beside the best recorded trajectory of its tree, over the ``trees`` that have any.

    ``below``: e* has a lower G; ``other_words``: the agent's outputs are not word for word the
    same; ``uneven``: trees in which trajectories that end at one leaf have different G, so that
    the mean of a leaf says something that its best trajectory does not.
    """

    trees: int
    below: int
    other_words: int
    uneven: int


def compared_with_best(result: SearchResult) -> PathComparison:
    """Count the trees in which e* differs from the best recorded trajectory."""
    columns, best = result.forest.columns, best_observed(result.forest)
    grown = np.flatnonzero(best >= 0)
    found = result.best_trajectory[grown]
    below = columns.score[found] < columns.score[best[grown]]
    other = [
        one != two
        and not np.array_equal(
            columns.outputs[columns.span(one)], columns.outputs[columns.span(two)]
        )
        for one, two in zip(found.tolist(), best[grown].tolist(), strict=True)
    ]
    return PathComparison(
        trees=len(grown),
        below=int(np.count_nonzero(below)),
        other_words=sum(other),
        uneven=_uneven(result.forest),
    )


def _uneven(forest: Forest) -> int:
    """Trees in which some node ends trajectories of different G."""
    counted = np.flatnonzero(forest.columns.counted)
    node, score = forest.end_node[counted], forest.columns.score[counted]
    low, high = np.full(len(forest), np.inf), np.full(len(forest), -np.inf)
    np.minimum.at(low, node, score)
    np.maximum.at(high, node, score)
    return len(np.unique(forest.tree[high > low]))

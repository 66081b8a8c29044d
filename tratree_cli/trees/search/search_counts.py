"""What the search counts at every option of every branching."""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.trees.columns import FloatArray, IntArray


@dataclass(frozen=True)
class Tally:
    """``count[O]`` and ``reward[O]`` of every option, ``best[O]`` its highest return (-inf: none).

    ``returned[B]`` sums what came back to every branching.
    """

    count: IntArray
    reward: FloatArray
    best: FloatArray
    returned: FloatArray

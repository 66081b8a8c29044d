"""What trajectories of one tree share, in characters: what training on them by trees will save.

Only equal texts are shared there, whatever observations the tree merged: a model reads the words.
"""

from __future__ import annotations

import numpy as np

from tratree_cli.trees.columns import Columns, IntArray


def read_and_distinct(columns: Columns, characters: IntArray) -> tuple[int, int]:
    """Characters of all counted trajectories, and those of their distinct beginnings.

    ``characters[n]`` is the length of text n. A step is its observation and the agent's output.
    """
    chosen = np.flatnonzero(columns.counted)
    begin, lengths = columns.offsets[chosen], columns.lengths[chosen]
    state = columns.task[chosen].astype(np.int64)
    flat = unique = 0
    for depth in range(int(lengths.max(initial=0))):
        going = lengths > depth
        begin, lengths, state = begin[going], lengths[going], state[going]
        texts = np.stack([columns.observations[begin + depth], columns.outputs[begin + depth]])
        size = np.where(texts >= 0, characters[texts], 0).sum(axis=0)
        _, first, state = np.unique(
            np.vstack([state, texts]), axis=1, return_index=True, return_inverse=True
        )
        state = state.ravel()
        flat += int(size.sum())
        unique += int(size[first].sum())
    return flat, unique

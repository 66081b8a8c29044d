"""Paths to imitate on disk (kind ``paths``): per task the e* of the search, or the best observed.

Every path is one recorded trajectory, word for word; nothing is stitched together from several.
Each also has the best trajectory that was observed, so that the two can be compared and the
control (imitation of the best observed) needs no second search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import Message, prefix_messages, turns
from tratree_cli.formats.rollouts import Rollouts, read_jsonl, write_jsonl
from tratree_cli.trees.forest import Forest
from tratree_cli.trees.search.api import SearchResult, best_observed

PATHS = "paths.jsonl.zst"
META = "paths.json"


@dataclass(frozen=True)
class PathRecord:
    """One trajectory to imitate.

    ``messages`` is the whole conversation, ``prefix`` of them are the prompt's own; the agent's
    turns after those enter the loss (Eq. 8). ``score`` is G, ``trajectory`` the position in the
    tree's rollouts, ``visits`` and ``value`` (mean return) the search's statistics of its last
    node. ``best_messages``, ``best_score``, ``best_trajectory`` are the best observed trajectory of
    the task, and ``tried`` is how many were observed.
    """

    task: str
    rule: str
    messages: list[Message]
    prefix: int
    score: float
    success: bool
    trajectory: int
    visits: int
    value: float
    best_messages: list[Message]
    best_score: float
    best_trajectory: int
    tried: int


@dataclass(frozen=True)
class PathFile:
    """A ``paths`` artifact in memory; ``meta`` has the rule and what was dropped, by reason."""

    paths: Sequence[PathRecord]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def prefix(self) -> int:
        """How many messages of every path are the prompt's own."""
        return self.paths[0].prefix if self.paths else 0


LOW = "score too low"
EMPTY = "nothing explored"
SILENT = "no words"


def render_paths(
    source: SearchResult | Forest, rollouts: Rollouts, min_score: float = 0.0
) -> tuple[list[PathRecord], dict[str, int]]:
    """The paths with their messages, and how many tasks were dropped, by reason.

    A search result gives e* (``rule`` ``mcts``), a bare forest the best observed trajectory
    (``best-observed``). Trajectories with G ≤ ``min_score`` are dropped.
    """
    forest = source.forest if isinstance(source, SearchResult) else source
    best = best_observed(forest)
    chosen = source.best_trajectory if isinstance(source, SearchResult) else best
    rule = "mcts" if isinstance(source, SearchResult) else "best-observed"
    prefix = prefix_messages(rollouts)
    observed = np.bincount(forest.columns.task[forest.columns.counted], minlength=forest.trees)
    records: list[PathRecord] = []
    dropped: dict[str, int] = {}
    for tree, number in enumerate(chosen.tolist()):
        if number < 0:
            reason = EMPTY
        elif not rollouts.trajectories[number].steps:
            reason = SILENT
        elif float(forest.columns.score[number]) <= min_score:
            reason = LOW
        else:
            reason = ""
        if reason:
            dropped[reason] = dropped.get(reason, 0) + 1
            continue
        leaf = int(forest.end_node[number])
        search = source if isinstance(source, SearchResult) else None
        visits, value = _at_leaf(search, leaf) if search else (0, float(forest.mean[leaf]))
        records.append(
            PathRecord(
                task=forest.columns.tasks[tree],
                rule=rule,
                messages=[*prefix, *_conversation(rollouts, number)],
                prefix=len(prefix),
                score=float(forest.columns.score[number]),
                success=bool(forest.columns.success[number]),
                trajectory=number,
                visits=visits,
                value=value,
                best_messages=[*prefix, *_conversation(rollouts, int(best[tree]))],
                best_score=float(forest.columns.score[best[tree]]),
                best_trajectory=int(best[tree]),
                tried=int(observed[tree]),
            )
        )
    return records, dict(sorted(dropped.items()))


def write_paths(
    records: Iterable[PathRecord], folder: Path, meta: Mapping[str, Any] | None = None
) -> int:
    """Write a ``paths`` artifact (an empty one too); return the number of paths."""
    count = write_jsonl(folder / PATHS, (asdict(record) for record in records))
    document = {**(meta or {}), "paths": count}
    (folder / META).write_bytes(
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
    )
    return count


def read_paths(folder: Path) -> PathFile:
    """Read what ``write_paths`` wrote."""
    meta = orjson.loads((folder / META).read_bytes())
    records = []
    for line, record in enumerate(read_jsonl(folder / PATHS), start=1):
        try:
            records.append(PathRecord(**record))
        except TypeError as error:
            raise InputError(f"{folder / PATHS} line {line} is not a path: {error}") from error
    return PathFile(records, meta)


def _conversation(rollouts: Rollouts, number: int) -> list[Message]:
    """Observation and output in turns; the last message is the agent's."""
    trajectory = rollouts.trajectories[number]
    if not trajectory.steps:
        return []
    opening = {"role": "user", "content": rollouts.texts[trajectory.observations[0]]}
    return [opening, *turns(rollouts, trajectory, 0, trajectory.steps)]


def _at_leaf(search: SearchResult, leaf: int) -> tuple[int, float]:
    """Visits and mean return of the leaf, or of the stop leaf where other trajectories continue."""
    stop = bool(search.forest.has_stop[leaf])
    visits = int((search.stop_visits if stop else search.visits)[leaf])
    reward = float((search.stop_reward if stop else search.reward)[leaf])
    return visits, reward / visits if visits else 0.0

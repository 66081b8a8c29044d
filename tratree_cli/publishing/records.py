"""The rows of a published dataset: one JSON object a trajectory, a pair or a path.

Pairs are in TRL's preference layout (``prompt``, ``chosen``, ``rejected``: lists of messages) with
the two scores as further columns, paths in its conversational one (``messages``). Columns have one
type each, so that ``datasets.load_dataset`` reads the files as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tratree_cli.errors import InputError
from tratree_cli.formats.pairs import PairRecord, prefix_messages, read_pairs
from tratree_cli.formats.paths import PathRecord, read_paths
from tratree_cli.formats.rollouts import Rollouts, conversation, read_rollouts

if TYPE_CHECKING:
    from tratree_store import Entry

DATASET_KINDS = ("rollouts", "demos", "pairs", "paths")


def dataset_rows(entry: Entry) -> Iterator[dict[str, Any]]:
    """The rows of an artifact of one of ``DATASET_KINDS``."""
    if entry.kind == "pairs":
        return map(pair_row, read_pairs(entry.path).pairs)
    if entry.kind == "paths":
        return map(path_row, read_paths(entry.path).paths)
    if entry.kind in ("rollouts", "demos"):
        return trajectory_rows(read_rollouts(entry.path))
    raise InputError(
        f"{entry.ref[:24]} is of kind '{entry.kind}', which is no dataset; "
        f"{', '.join(DATASET_KINDS)} and model can be published"
    )


def pair_row(pair: PairRecord) -> dict[str, Any]:
    """One preference; scores are G of the two trajectories in [0, 1]."""
    return {
        **{side: list(messages) for side, messages in pair.messages().sides().items()},
        "score_chosen": float(pair.chosen_score),
        "score_rejected": float(pair.rejected_score),
        "task": pair.task,
        "rule": pair.rule,
        "step": pair.step,
    }


def path_row(path: PathRecord) -> dict[str, Any]:
    """One conversation to imitate."""
    return {
        "messages": list(path.messages),
        "task": path.task,
        "score": float(path.score),
        "success": path.success,
        "rule": path.rule,
    }


def trajectory_rows(rollouts: Rollouts) -> Iterator[dict[str, Any]]:
    """One conversation with its outcome; ``score`` is null where the environment broke."""
    prefix = prefix_messages(rollouts)
    for trajectory in rollouts.trajectories:
        texts = rollouts.texts
        last = len(trajectory.observations) > trajectory.steps
        yield {
            "messages": conversation(rollouts, trajectory, prefix),
            "task": trajectory.task,
            "sample": trajectory.sample,
            "instruction": texts[trajectory.instruction],
            "actions": [texts[number] if number >= 0 else "" for number in trajectory.actions],
            "step_scores": [float(score) for score in trajectory.scores],
            "had_effect": list(trajectory.valid),
            "last_observation": texts[trajectory.observations[-1]] if last else "",
            "score": None if trajectory.score is None else float(trajectory.score),
            "success": trajectory.success,
            "end": trajectory.end,
            "split": rollouts.split,
        }

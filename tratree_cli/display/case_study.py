"""Several policies on one task, side by side, with the first difference marked (Fig. 5).

The steps up to the first different action are what the policies have in common; everything after
it is their own. Actions are compared as strings, because the environment reads them so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tratree_cli.display.blocks import Comparison, Lane, Turn
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import Rollouts, Trajectory

_CHOSEN = (
    "Chosen because the scores of these policies lie furthest apart here: a telling task, no "
    "typical one. tratree show --task ID EVAL… compares them on any."
)
UNPARSABLE_ACTION = "(no action in the output)"


def compare_on_task(
    task: str, policies: Sequence[tuple[str, Rollouts]], sample: int = 0, *, telling: bool = False
) -> Comparison:
    """The case study of ``task`` for ``(label, rollouts)`` of each policy, in the given order.

    ``telling`` says that nobody named the task, but that it was chosen by ``most_telling_task``.

    A policy without an episode on the task is left out with a note; ``InputError`` if none has one.
    """
    found: list[tuple[str, Rollouts, Trajectory]] = []
    missing = []
    for label, rollouts in policies:
        episodes = [one for one in rollouts.trajectories if one.task == task]
        chosen = next((one for one in episodes if one.sample == sample), None)
        if chosen or episodes:
            found.append((label, rollouts, chosen or episodes[0]))
        else:
            missing.append(label)
    if not found:
        known = sorted({one.task for _, rollouts in policies for one in rollouts.trajectories})
        some = ", ".join(known[:5]) + (", ..." if len(known) > 5 else "")
        raise InputError(f"no episode on task '{task}'; there are episodes on {some or 'no task'}")
    actions = [_actions(rollouts, trajectory) for _, rollouts, trajectory in found]
    parting = first_difference(actions)
    first_rollouts, first = found[0][1], found[0][2]
    notes = [_sentence(parting, len(found))]
    notes += [f"{label} has no episode on this task." for label in missing]
    notes += [_CHOSEN] if telling else []
    return Comparison(
        key="case-study",
        title=f"Task {task}",
        instruction=first_rollouts.texts[first.instruction],
        lanes=tuple(_lane(*one, parting) for one in found),
        notes=tuple(note for note in notes if note),
    )


def first_difference(sequences: Sequence[Sequence[str]]) -> int | None:
    """Index of the first step at which not all do the same; None if they never differ.

    A sequence that has ended differs from one that goes on.
    """
    longest = max(map(len, sequences), default=0)
    for step in range(longest):
        if len({sequence[step] if step < len(sequence) else None for sequence in sequences}) > 1:
            return step
    return None


def most_telling_task(policies: Sequence[tuple[str, Rollouts]]) -> str | None:
    """The task on which the policies' scores lie furthest apart; ties go to the first by name.

    Only tasks that every policy has a score on; None without one.
    """
    scores: dict[str, list[float]] = {}
    for _, rollouts in policies:
        firsts: dict[str, float] = {}
        for one in rollouts.trajectories:
            if one.score is not None:
                firsts.setdefault(one.task, one.score)
        for task, score in firsts.items():
            scores.setdefault(task, []).append(score)
    whole = {task: found for task, found in scores.items() if len(found) == len(policies)}
    return min(whole, key=lambda task: (min(whole[task]) - max(whole[task]), task), default=None)


def _actions(rollouts: Rollouts, trajectory: Trajectory) -> list[str]:
    return [
        rollouts.texts[action] if action >= 0 else UNPARSABLE_ACTION
        for action in trajectory.actions
    ]


def _lane(label: str, rollouts: Rollouts, trajectory: Trajectory, parting: int | None) -> Lane:
    texts = rollouts.texts
    turns: list[Turn] = []
    for step, action in enumerate(_actions(rollouts, trajectory)):
        thought = trajectory.thoughts[step]
        seen = trajectory.observations[step] if step < len(trajectory.observations) else -1
        turn = Turn(
            action=action,
            thought=texts[thought] if thought >= 0 else "",
            # The first observation is the instruction, which stands above all lanes.
            observation=texts[seen] if step and seen >= 0 else "",
            score=trajectory.scores[step],
            differs=parting is not None and step >= parting,
            ineffective=not trajectory.valid[step] or _tried_again(trajectory, step),
        )
        if turns and _repeats(turn, turns[-1]):
            turns[-1] = replace(turns[-1], times=turns[-1].times + 1)
        else:
            turns.append(turn)
    reward = "no score" if trajectory.score is None else f"reward {trajectory.score:.2f}"
    success = "success" if trajectory.success else "no success"
    return Lane(label, tuple(turns), f"{reward}, {success}, {trajectory.end}")


def _tried_again(trajectory: Trajectory, step: int) -> bool:
    """Whether a step does once more what the step before did, and nothing new is seen."""
    actions, seen = trajectory.actions, trajectory.observations
    if step == 0 or step + 1 >= len(seen):
        return False
    return actions[step] == actions[step - 1] and seen[step] == seen[step + 1]


def _repeats(turn: Turn, before: Turn) -> bool:
    """Whether an action is tried again without an effect, as the turn before was."""
    same = (turn.action, turn.differs, turn.score) == (before.action, before.differs, before.score)
    return same and turn.ineffective and before.ineffective


def _sentence(parting: int | None, lanes: int) -> str:
    if lanes < 2:
        return ""
    if parting is None:
        return "All do exactly the same."
    if parting == 0:
        return "They differ from the first step on."
    shared = "in the first step" if parting == 1 else f"for {parting} steps"
    return f"They do the same {shared} and differ from step {parting + 1} on."

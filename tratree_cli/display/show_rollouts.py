"""What ``tratree show`` prints for rollouts and demonstrations: outcomes, settings, one episode.

First how episodes ended, then where the policy disagrees with itself: a task whose samples all
score the same teaches a tree nothing, so tasks with the widest spread come first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.text import Text

from tratree_cli.display.blocks import COUNT, PERCENT, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.display.sparkline import sparkline
from tratree_cli.display.terminal_tables import FittingTable
from tratree_cli.display.text import inert, one_line
from tratree_cli.formats.rollouts import Rollouts, Trajectory

Key = TypeVar("Key")


def rollouts_view(
    rollouts: Rollouts, tasks: int = 15, called: Mapping[str, str] | None = None
) -> RenderableType:
    """All episodes in a few lines, then the ``tasks`` most divided tasks and the settings.

    ``called`` names models by their objects.
    """
    trajectories = rollouts.trajectories
    if not trajectories:
        return Text("No episodes.")
    by_task = _grouped((one.task, one) for one in trajectories)
    endings = Counter(one.end for one in trajectories)
    place = str(rollouts.environment.get("name", ""))
    head = f"{len(trajectories)} episodes on {len(by_task)} tasks"
    where = " ".join(part for part in (place, rollouts.split) if part)
    parts: list[RenderableType] = [
        Text(one_line(f"{head} of {where}" if where else head), style="bold"),
        Text(", ".join(f"{end} {count}" for end, count in endings.most_common())),
        Text(""),
        FittingTable(_settings_table(rollouts, called or {})),
    ]
    if len(trajectories) > len(by_task):
        parts += [Text(""), FittingTable(_tasks_table(by_task, tasks))]
    return Group(*parts)


def trajectory_view(rollouts: Rollouts, trajectory: Trajectory) -> RenderableType:
    """One episode, turn by turn: what was seen, thought and done, and the score after it."""
    texts = rollouts.texts
    parts: list[RenderableType] = [
        Text(one_line(f"Task {trajectory.task}, sample {trajectory.sample}"), style="bold"),
        Text(inert(texts[trajectory.instruction]), style="italic"),
    ]
    for step in range(trajectory.steps):
        if step and step < len(trajectory.observations):
            parts.append(Text(inert(texts[trajectory.observations[step]]), style="dim"))
        thought, action = trajectory.thoughts[step], trajectory.actions[step]
        if thought >= 0:
            parts.append(Text(f"   {inert(texts[thought])}", style="italic"))
        said = texts[action] if action >= 0 else texts[trajectory.outputs[step]]
        line = Text(f"{step + 1}. {inert(said)}", style="bold")
        if not trajectory.valid[step]:
            line.append("  (no effect)", style="italic")
        parts.append(line)
    reward = "none" if trajectory.score is None else f"{trajectory.score:.2f}"
    success = "success" if trajectory.success else "no success"
    why = f" ({one_line(trajectory.detail)})" if trajectory.detail else ""
    parts.append(Text(f"reward {reward}, {success}, ended: {trajectory.end}{why}", style="bold"))
    return Group(*parts)


def _settings_table(rollouts: Rollouts, called: Mapping[str, str]) -> Table:
    rows = []
    groups = _grouped(((one.setting, one.source), one) for one in rollouts.trajectories)
    for (setting, source), members in sorted(groups.items()):
        rows.append(
            Row(
                (
                    Cell(_setting(rollouts, setting)),
                    Cell(_source(rollouts, source, called)),
                    Cell(len(members)),
                    Cell(_mean(members)),
                    Cell(100 * fmean(one.success for one in members)),
                    Cell(fmean(one.steps for one in members)),
                )
            )
        )
    columns = (
        Column("Sampling", TEXT),
        Column("Policy", TEXT),
        Column("Episodes", COUNT),
        Column("Mean reward", RATIO),
        Column("Success", PERCENT),
        Column("Steps"),
    )
    return Table("settings", "By sampling setting", columns, tuple(rows))


def _tasks_table(by_task: dict[str, list[Trajectory]], limit: int) -> Table:
    scores = {
        task: [one.score for one in members if one.score is not None]
        for task, members in by_task.items()
    }
    known = {task: values for task, values in scores.items() if values}
    order = sorted(known, key=lambda task: (min(known[task]) - max(known[task]), task))
    rows = tuple(
        Row(
            (
                Cell(task),
                Cell(len(known[task])),
                Cell(min(known[task])),
                Cell(fmean(known[task])),
                Cell(max(known[task])),
                Cell(sparkline(sorted(known[task]), 16, low=0.0, high=1.0)),
            )
        )
        for task in order[:limit]
    )
    divided = sum(max(values) > min(values) for values in known.values())
    columns = (
        Column("Task", TEXT),
        Column("Samples", COUNT),
        Column("Worst", RATIO),
        Column("Mean", RATIO),
        Column("Best", RATIO),
        Column("Sorted", TEXT),
    )
    notes = (f"{divided} of {len(known)} tasks have samples that score differently.",)
    return Table("tasks", "Where samples disagree most", columns, rows, notes)


def _grouped(pairs: Iterable[tuple[Key, Trajectory]]) -> dict[Key, list[Trajectory]]:
    groups: dict[Key, list[Trajectory]] = {}
    for key, trajectory in pairs:
        groups.setdefault(key, []).append(trajectory)
    return groups


def _setting(rollouts: Rollouts, number: int) -> str:
    if not 0 <= number < len(rollouts.settings):
        return str(number)
    return ", ".join(f"{key} {value}" for key, value in rollouts.settings[number].items())


def _source(rollouts: Rollouts, number: int, called: Mapping[str, str]) -> str:
    """The policy's name: what ``called`` has for a model's digest, else what a reference needs."""
    name = rollouts.sources[number] if 0 <= number < len(rollouts.sources) else str(number)
    is_digest = len(name) == 64 and not name.strip("0123456789abcdef")
    return called.get(name) or (f"model {name[:12]}" if is_digest else name)


def _mean(members: list[Trajectory]) -> float | None:
    known = [one.score for one in members if one.score is not None]
    return fmean(known) if known else None

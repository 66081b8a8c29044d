"""The figures of a report as data: rewards with intervals, reward by step, reward by tree size.

A chart says in words what it shows (``alt``), because a page is also read aloud and a terminal
draws none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tratree_cli.display.blocks import Figure, Point, Series
from tratree_cli.evaluation import methods
from tratree_cli.evaluation.results import EpisodeResult
from tratree_cli.reporting.baseline_comparison import against_baseline
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.selection import (
    Place,
    main_cohorts,
    of_main_models,
    place_of,
    places,
)

FIGURE_3 = (methods.SFT_STRONG, methods.TREE_DPO, methods.MCTS)


def reward_bars(groups: Sequence[Cohort]) -> Figure | None:
    """Average reward of every method with its interval over tasks, grouped by environment."""
    chosen = [group for group in main_cohorts(groups) if group.reward is not None]
    if len(chosen) < 2:
        return None
    series = []
    for place in places(chosen):
        points = [
            Point(group.name, reward.value, reward.low, reward.high)
            for group in chosen
            if place.holds(group) and (reward := group.reward) is not None
        ]
        series.append(Series(place.title, tuple(points)))
    baseline = next((group for group in chosen if group.method == methods.BASELINE), None)
    marked = baseline if len(series) == 1 else None
    return Figure(
        key="rewards",
        title="Average reward by policy",
        kind="bars",
        x_label="Policy",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(_ranking(one) for one in series),
        notes=(
            "Intervals: 95 % bootstrap over tasks."
            + (f" Dashed: {marked.name}." if marked and marked.reward else ""),
        ),
        mark=marked.reward.value if marked and marked.reward else None,
        mark_label=marked.name if marked and marked.reward else "",
    )


def differences(groups: Sequence[Cohort], place: Place) -> Figure | None:
    """Every method minus the SFT strong baseline, with the paired interval over tasks."""
    comparison = against_baseline([g for g in main_cohorts(groups) if place.holds(g)])
    if comparison is None:
        return None
    points = [
        Point(one.cohort.name, found.value, found.low, found.high)
        for one in comparison.rivals
        if (found := one.difference.difference) is not None
    ]
    if len(points) < 2:
        return None
    name = comparison.baseline.name
    above = [str(p.x) for p in points if p.low is not None and p.low > 0]
    below = [str(p.x) for p in points if p.high is not None and p.high < 0]
    words = [
        f"{side} {name} with the whole interval: {', '.join(names)}"
        for side, names in (("Above", above), ("Below", below))
        if names
    ]
    return Figure(
        key=f"differences-{place.environment or 'all'}-{place.split or 'all'}",
        title=f"Difference from {name} on {place.title}",
        kind="intervals",
        x_label="Policy",
        y_label=f"Average reward × 100, minus {name}",
        series=(Series(place.title, tuple(points)),),
        alt=". ".join(words) or f"Every interval holds 0, so none is apart from {name}",
        notes=("Intervals: 95 % paired bootstrap over the same tasks.",),
        mark=0.0,
        mark_label=name,
    )


def reward_by_step(groups: Sequence[Cohort], place: Place) -> Figure | None:
    """Fig. 3: the average score after each step; an ended episode keeps its final score."""
    chosen = [
        group
        for group in main_cohorts(groups)
        if place.holds(group) and (group.method in FIGURE_3 or group.method == methods.SFT_WEAK)
    ]
    longest = max((len(group.curve) for group in chosen), default=0)
    series = [Series(group.name, _curve(group, longest)) for group in chosen if group.curve]
    series = [one for one in series if len(one.points) > 1]
    if not series:
        return None
    return Figure(
        key=f"figure-3-{place.environment or 'all'}-{place.split or 'all'}",
        title=f"Reward by step on {place.title} (Fig. 3)",
        kind="lines",
        x_label="Step",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(
            f"{one.name} reaches {one.points[-1].y:.1f} after {len(one.points)} steps"
            for one in series
        ),
    )


def task_reward_by_step(task: str, results: Mapping[str, Sequence[EpisodeResult]]) -> Figure | None:
    """Fig. 3 as the paper draws it: one task, the score of each policy's first episode by step.

    ``results`` maps a policy's name to its episodes (of any tasks).
    """
    series = []
    for name, episodes in results.items():
        episode = next((one for one in episodes if one.task == task and one.curve), None)
        if episode is not None:
            points = (Point(step, 100 * score) for step, score in enumerate(episode.curve, start=1))
            series.append(Series(name, tuple(points)))
    if not series:
        return None
    return Figure(
        key="figure-3-task",
        title=f"Task {task}: score by step",
        kind="lines",
        x_label="Step",
        y_label="Score × 100",
        series=tuple(series),
        alt=". ".join(f"{one.name} ends at {one.points[-1].y:.0f}" for one in series),
    )


def reward_by_breadth(groups: Sequence[Cohort]) -> Figure | None:
    """Fig. 4: average reward against the number of trajectories per task in the tree."""
    points: dict[str, dict[float, Point]] = {}
    several = len(places(groups)) > 1
    for group in of_main_models(groups):
        breadth = group.descriptor.parameters.get("explore.m")
        other = set(group.descriptor.varied) - {"explore.m"}
        known = group.method in (methods.TREE_DPO, methods.MCTS)
        if not known or breadth is None or other or group.reward is None:
            continue
        name = f"{group.name}, {place_of(group, groups).title}" if several else group.name
        reward = group.reward
        points.setdefault(name, {})[float(breadth)] = Point(
            float(breadth), reward.value, reward.low, reward.high
        )
    series = [
        Series(name, tuple(found[x] for x in sorted(found)))
        for name, found in points.items()
        if len(found) > 1
    ]
    if not series:
        return None
    return Figure(
        key="figure-4",
        title="Reward by trajectories per task (Fig. 4)",
        kind="lines",
        x_label="Trajectories per task",
        y_label="Average reward × 100",
        series=tuple(series),
        alt=". ".join(
            f"{one.name} is best with {max(one.points, key=lambda p: p.y).x:g} trajectories"
            for one in series
        ),
    )


def _curve(group: Cohort, steps: int) -> tuple[Point, ...]:
    """The curve up to ``steps``: where all its episodes ended earlier, they keep their scores."""
    curve = [*group.curve, *[group.curve[-1]] * (steps - len(group.curve))]
    return tuple(
        Point(step, one.value, one.low, one.high) for step, one in enumerate(curve, start=1)
    )


def _ranking(series: Series) -> str:
    ordered = sorted(series.points, key=lambda point: -point.y)
    words = ", ".join(f"{point.x} {point.y:.1f}" for point in ordered)
    return f"{series.name}, from best to worst: {words}"

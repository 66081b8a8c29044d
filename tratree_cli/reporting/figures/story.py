"""What was done, in one strip: demonstrations, weak model, rollouts, trees, pairs, strong model.

Every number is one that an artifact behind the first seed's best policy recorded; the rewards are
the means that the tables have. What a word means stands beside its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratree_cli.display.blocks import Strip, StripStep
from tratree_cli.methods.registry import BASELINE, WEAK, is_method, method
from tratree_cli.reporting import lineage
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.environments import in_each_environment
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.selection import main_cohorts

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.display.blocks import Block


def blocks(data: ReportData) -> tuple[Block, ...]:
    """A strip for every environment in which a method in question was trained."""
    if data.store is None:
        return ()
    main = main_cohorts(data.cohorts)
    strips: dict[str, list[Strip]] = {}
    for environment in dict.fromkeys(group.descriptor.environment for group in main):
        here = [group for group in main if group.descriptor.environment == environment]
        # Under one split alone: a strip that mixed two would compare what is not comparable.
        split = here[0].descriptor.task_set
        found = strip([g for g in here if g.descriptor.task_set == split], data.store)
        strips[environment] = [found] if found else []
    return in_each_environment(strips, data)


def strip(groups: Sequence[Cohort], store: Store) -> Strip | None:
    """The strip of one environment; None without a method in question."""
    trained = [group for group in groups if _in_question(group)]
    if not trained:
        return None
    best = max(trained, key=lambda group: group.reward.value if group.reward else 0.0)
    policies = [
        run.lineage.policy
        for run in (best.runs[0], *(group.runs[0] for group in trained if group is not best))
        if run.lineage is not None and run.lineage.policy is not None
    ]
    behind = lineage.ancestors(store, policies, learned_from=True)
    steps = [
        *_demonstrations(behind),
        *_weak(_of(groups, WEAK)),
        *_rollouts(behind),
        *_trees(behind),
        *_supervision(behind),
        *_strong(best, trained, _of(groups, BASELINE)),
    ]
    return Strip("story", "What was done", tuple(steps))


def _in_question(group: Cohort) -> bool:
    in_question = is_method(group.method) and method(group.method).group == "main"
    return in_question and group.reward is not None


def _of(groups: Sequence[Cohort], name: str) -> Cohort | None:
    return next((group for group in groups if group.method == name), None)


def _count(entries: Sequence[Entry], kind: str, key: str) -> int:
    found = next((entry for entry in entries if entry.kind == kind), None)
    return int(found.summary.get(key, 0)) if found else 0


def _demonstrations(behind: Sequence[Entry]) -> list[StripStep]:
    count = _count(behind, "demos", "demonstrations")
    return [StripStep(f"{count:,}", "demonstrations", "tasks solved by an expert")] if count else []


def _weak(group: Cohort | None) -> list[StripStep]:
    if group is None or group.reward is None:
        return []
    detail = "average reward × 100 of the weak model after imitating them (SFT)"
    return [StripStep(f"{group.reward.value:.0f}", group.name, detail)]


def _rollouts(behind: Sequence[Entry]) -> list[StripStep]:
    # A tree may be one of several rollouts.
    count = _count(behind, "tree", "trajectories") or _count(behind, "rollouts", "trajectories")
    tasks = _count(behind, "tree", "trees") or _count(behind, "rollouts", "tasks")
    if not count:
        return []
    each = f", {count // tasks} at each of {tasks:,} tasks" if tasks and not count % tasks else ""
    return [StripStep(f"{count:,}", "rollouts", f"the weak model's own attempts{each}")]


def _trees(behind: Sequence[Entry]) -> list[StripStep]:
    trees, points = (_count(behind, "tree", key) for key in ("trees", "divergences"))
    if not trees:
        return []
    detail = "the attempts at one task, merged where their steps agree"
    if points:
        detail += f"; they part at {points:,} divergence points"
    return [StripStep(f"{trees:,}", "trees", detail)]


def _supervision(behind: Sequence[Entry]) -> list[StripStep]:
    pairs, paths = _count(behind, "pairs", "pairs"), _count(behind, "paths", "paths")
    told = [
        (pairs, "pairs", "pairs: a better and a worse way on from one state"),
        (paths, "paths", "paths: the way through a tree that a search prefers (MCTS)"),
    ]
    known = [one for one in told if one[0]]
    if not known:
        return []
    figure = " + ".join(f"{count:,}" for count, _, _ in known)
    label = " and ".join(name for _, name, _ in known)
    return [StripStep(figure, label, "; ".join(detail for _, _, detail in known))]


def _strong(best: Cohort, trained: Sequence[Cohort], baseline: Cohort | None) -> list[StripStep]:
    detail = "average reward × 100 of the strong model trained on them"
    others = [_earned(group) for group in trained if group is not best]
    if others:
        detail += f", by the best of {len(trained)} methods ({', '.join(others)})"
    if baseline is not None and baseline.reward is not None:
        detail += f"; without them {_earned(baseline)}"
    assert best.reward is not None
    return [StripStep(f"{best.reward.value:.0f}", best.name, detail)]


def _earned(group: Cohort) -> str:
    assert group.reward is not None
    return f"{group.name} {group.reward.value:.0f}"

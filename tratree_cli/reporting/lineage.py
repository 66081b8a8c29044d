"""What an artifact was made from, and what that adds up to: data budget, optimizer steps, seconds.

Every number of a report is traced through the store, not through file names or what a command
happened to know, so a table over references from last week says the same as one made at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tratree_cli.evaluation.artifact import Budget
from tratree_cli.reporting.cohorts import Effort

if TYPE_CHECKING:
    from tratree_store import Entry, Store


ONLY_COUNTED = "budget"
"""The role of an input that decides how long a control trains, and that nothing is learned from."""


def ancestors(store: Store, entries: Sequence[Entry], *, learned_from: bool = False) -> list[Entry]:
    """``entries`` and everything they were made from, each recipe once, nearest first.

    ``learned_from`` leaves out what only decided how long a control was trained.
    """
    found: dict[str, Entry] = {}
    waiting = list(entries)
    while waiting:
        current = waiting.pop(0)
        if current.recipe not in found:
            found[current.recipe] = current
            waiting += sources(store, current, without=ONLY_COUNTED if learned_from else None)
    return list(found.values())


def sources(
    store: Store, entry: Entry, role: str | None = None, *, without: str | None = None
) -> list[Entry]:
    """The direct inputs (of one role, all, or all but one); collected ones are missing."""
    from tratree_store.keys import input_digests

    makers = [
        store.maker(digest, entry)
        for name, found in input_digests(entry.document).items()
        if name != without and role in (None, name)
        for digest in found
    ]
    return [found for found in makers if found is not None]


def budget(store: Store, policy: Entry) -> Budget:
    """What a trained policy was given: unique demonstrations and episodes of its whole lineage."""
    made_from = ancestors(store, [policy], learned_from=True)
    return Budget(
        demonstrations=_total(made_from, "demos", "demonstrations"),
        episodes=_total(made_from, "rollouts", "trajectories"),
        optimizer_steps=sum(
            int(e.summary.get("optimizer_steps", 0)) for e in own_models(store, policy)
        ),
        tokens=sum(int(e.summary.get("tokens", 0)) for e in own_models(store, policy)),
    )


def own_models(store: Store, policy: Entry) -> Iterator[Entry]:
    """The evaluated model and the models its weights passed through, last first."""
    current: Entry | None = policy
    seen: set[str] = set()
    while current is not None and current.recipe not in seen:
        seen.add(current.recipe)
        # An adopted model is its initial model: that one's own training is counted there.
        if "adopted" not in current.summary:
            yield current
        before = sources(store, current, "init")
        current = next((e for e in before if e.recipe not in seen), None)


def stage_seconds(entries: Sequence[Entry]) -> dict[str, float]:
    """Seconds per stage that making ``entries`` took."""
    seconds: dict[str, float] = {}
    for entry in entries:
        seconds[entry.stage] = seconds.get(entry.stage, 0.0) + entry.seconds
    return seconds


def effort(entries: Sequence[Entry], *, timed: bool) -> Effort:
    """What making ``entries`` played, sampled and, if ``timed``, used."""
    played = [e for e in entries if e.stage in ("explore", "eval", "demos")]
    used = [e.provenance.get("cpu_seconds") for e in entries]
    known = [float(seconds) for seconds in used if seconds is not None]
    on_gpu = [e.seconds for e in entries if e.provenance.get("gpu")]
    return Effort(
        episodes=sum(int(e.summary.get("trajectories", 0)) for e in played),
        tokens=sum(int(e.summary.get("tokens", 0)) for e in played),
        cpu_seconds=sum(known) if timed and known else None,
        gpu_seconds=sum(on_gpu) if timed and on_gpu else None,
    )


def _total(entries: Sequence[Entry], kind: str, name: str) -> int:
    return sum(int(e.summary.get(name, 0)) for e in entries if e.kind == kind)

"""What one policy of a report cost from its demonstrations to its evaluation, as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import fmean
from typing import TYPE_CHECKING

from tratree_cli.training.rounds import rounds_of

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class RunCost:
    """One training seed of a policy; None where nothing was recorded.

    ``seconds`` are wall-clock by stage, ``episodes`` those played and ``tokens`` those sampled in
    them; ``cpu_seconds`` of all processes that recorded any, ``gpu_seconds`` the wall-clock of
    stages that computed on a GPU. ``trained`` tokens are those that trainings read and ``computed``
    those of them that were computed, where some rows were computed as a tree; ``saved`` are the
    seconds that the others would have taken at the same seconds a token.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    episodes: int | None = None
    tokens: int | None = None
    cpu_seconds: float | None = None
    gpu_seconds: float | None = None
    trained: int | None = None
    computed: int | None = None
    saved: float | None = None


@dataclass(frozen=True)
class PolicyCost:
    """The runs of one policy, which differ in the training seed alone; figures are their means."""

    label: str
    runs: tuple[RunCost, ...]

    @property
    def seconds(self) -> float | None:
        """All seconds spent on a run; None where nothing was recorded."""
        totals = [sum(run.seconds.values()) for run in self.runs if run.seconds]
        return fmean(totals) if totals else None

    @cached_property
    def seconds_by_stage(self) -> dict[str, float]:
        """Seconds spent on each stage of a run."""
        stages = dict.fromkeys(stage for run in self.runs for stage in run.seconds)
        return {s: fmean(run.seconds.get(s, 0.0) for run in self.runs) for s in stages}

    def effort(self, name: str) -> float | None:
        """Another field of ``RunCost``; None where nothing was recorded."""
        known = [value for run in self.runs if (value := getattr(run, name)) is not None]
        return fmean(known) if known else None


def run_cost(entries: Sequence[Entry]) -> RunCost:
    """What making ``entries`` took, played and sampled."""
    # The model of several rounds is one of its rounds' models, which is among them.
    known_models = {entry.recipe for entry in entries}
    rounds = {entry.recipe: rounds_of(entry.summary) for entry in entries}
    entries = [
        entry
        for entry in entries
        if (of := rounds[entry.recipe]) is None or of.best.model not in known_models
    ]
    seconds: dict[str, float] = {}
    for entry in entries:
        seconds[entry.stage] = seconds.get(entry.stage, 0.0) + entry.seconds
    played = [entry for entry in entries if entry.stage in ("explore", "eval", "demos")]
    used = [entry.provenance.get("cpu_seconds") for entry in entries]
    known = [float(value) for value in used if value is not None]
    on_gpu = [entry.seconds for entry in entries if entry.provenance.get("gpu")]
    trained = [entry.summary for entry in entries if "optimizer_steps" in entry.summary]
    shared = [float(made.get("sharing_ratio", 1.0)) for made in trained]
    read = [int(made.get("tokens", 0)) for made in trained]
    packed = any(ratio > 1 for ratio in shared)
    spent = [entry.seconds for entry in entries if "optimizer_steps" in entry.summary]
    return RunCost(
        seconds,
        episodes=sum(int(entry.summary.get("trajectories", 0)) for entry in played),
        tokens=sum(int(entry.summary.get("tokens", 0)) for entry in played),
        cpu_seconds=sum(known) if known else None,
        gpu_seconds=sum(on_gpu) if on_gpu else None,
        trained=sum(read) if packed else None,
        computed=round(sum(r / s for r, s in zip(read, shared, strict=True))) if packed else None,
        saved=sum(s * (r - 1) for s, r in zip(spent, shared, strict=True)) if packed else None,
    )

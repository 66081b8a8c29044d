"""One row of a report: an evaluation as it was read, and what it was made from.

Tables and figures read the evaluation's descriptor and figures; what needs the artifacts behind
them (curves, pairs, case studies, cost) follows the row's lineage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tratree_cli.evaluation.artifact import Descriptor, Evaluation

if TYPE_CHECKING:
    from tratree_store import Entry, Store


@dataclass(frozen=True)
class RowLineage:
    """Which method a row is of, its evaluation, and the model evaluated (None: a scripted policy).

    ``settings`` are what a study set for this row. ``varied`` names those whose value is not the
    recipe's own; it is None for an evaluation that was handed in, where nobody said.
    """

    method: str
    evaluation: Entry
    policy: Entry | None
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] | None = None

    @property
    def environment(self) -> str:
        """The environment that the evaluation was made in."""
        return environment_of(self.evaluation)

    def record(self) -> dict[str, Any]:
        """The row as it is written beside the report: recipe digests, so that it is exact."""
        return {
            "method": self.method,
            "evaluation": self.evaluation.recipe,
            "policy": self.policy.recipe if self.policy else None,
            "settings": dict(self.settings),
            "varied": None if self.varied is None else list(self.varied),
        }


@dataclass(frozen=True)
class EvaluationRow:
    """An evaluation in a report; ``lineage`` is None for one that no store knows.

    ``ref`` names the evaluation, ``inputs`` what it was made from, ``command`` makes it again.
    """

    evaluation: Evaluation
    lineage: RowLineage | None = None
    ref: str = ""
    command: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def descriptor(self) -> Descriptor:
        """Which policy was evaluated on what."""
        return self.evaluation.descriptor

    @property
    def updates(self) -> int | None:
        """Optimizer steps that its policy's own training took; None where it had none."""
        policy = self.lineage.policy if self.lineage else None
        if policy is None or "adopted" in policy.summary:
            return None
        steps = policy.summary.get("optimizer_steps")
        return None if steps is None else int(steps)

    def described(self, **changes: Any) -> EvaluationRow:
        """The same row with other fields of its descriptor."""
        descriptor = replace(self.descriptor, **changes)
        return replace(self, evaluation=replace(self.evaluation, descriptor=descriptor))


def environment_of(entry: Entry) -> str:
    """The environment that an artifact was made for."""
    return str(entry.provenance["config"]["env"]["name"])


def recorded_lineages(store: Store, records: list[dict[str, Any]]) -> list[RowLineage] | None:
    """What ``RowLineage.record`` wrote; None where an artifact was collected since."""
    lineages = []
    for record in records:
        evaluations = store.records_of(record["evaluation"])
        policies = store.records_of(record["policy"]) if record["policy"] else [None]
        if not evaluations or not policies:
            return None
        varied = record.get("varied")
        lineages.append(
            RowLineage(
                record["method"],
                evaluations[0],
                policies[0],
                record.get("settings", {}),
                None if varied is None else tuple(varied),
            )
        )
    return lineages

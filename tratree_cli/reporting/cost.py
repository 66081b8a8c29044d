"""What a report's policies cost: the one part of it that is added whenever it is shown.

No two runs take equally long and equal recipes must give equal bytes, so seconds lie in no
artifact. The report keeps which recipes stand behind each policy; the store recorded how long each
of them took.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tratree_cli.display.blocks import Table
from tratree_cli.reporting import lineage
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.policy_cost import PolicyCost, run_cost
from tratree_cli.reporting.rows import recorded_lineages
from tratree_cli.reporting.selection import cohort_label
from tratree_cli.reporting.tables import seconds_by_policy, seconds_by_stage

if TYPE_CHECKING:
    from tratree_store import Store

    from tratree_cli.reporting.cohorts import Cohort

COST = "cost"
"""The key of the section that the tables of seconds belong to."""
TABLES = (seconds_by_policy.table, seconds_by_stage.table)


def policy_records(cohorts: Sequence[Cohort]) -> list[dict[str, Any]]:
    """Each policy of a report with the recipes behind its runs, as written beside the report."""
    return [
        {
            "label": cohort_label(cohort, cohorts),
            "runs": [row.lineage.record() for row in cohort.runs if row.lineage is not None],
        }
        for cohort in cohorts
    ]


def recorded_costs(
    store: Store, policies: Sequence[Mapping[str, Any]]
) -> tuple[PolicyCost, ...] | None:
    """What the policies of ``policy_records`` cost; None where an artifact was collected since."""
    costs = []
    for policy in policies:
        runs = recorded_lineages(store, policy["runs"])
        if runs is None:
            return None
        entries = [lineage.behind_row(store, row) for row in runs]
        costs.append(PolicyCost(policy["label"], tuple(map(run_cost, entries))))
    return tuple(costs)


def with_cost(document: ReportDocument, costs: Sequence[PolicyCost]) -> ReportDocument:
    """The document with the tables of seconds; unchanged where nothing was recorded."""
    recorded = [cost for cost in costs if cost.seconds is not None]
    if not recorded:
        return document
    tables: tuple[Table, ...] = tuple(table(recorded) for table in TABLES)
    sections = []
    for section in document.sections:
        if section.key == COST:
            section = replace(section, blocks=(*section.blocks, *tables))
        sections.append(section)
    if document.section(COST) is None:
        sections.append(Section(COST, "Cost", blocks=tables))
    return replace(document, sections=tuple(sections))

"""What every table and figure of a report is made from: its rows, and the store behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from tratree_cli.reporting.cohorts import Cohort, cohorts
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.selection import main_cohorts, main_rows

if TYPE_CHECKING:
    from tratree_store import Entry, Store


@dataclass(frozen=True)
class ReportData:
    """The rows of a report; without a ``store`` only what evaluations hold themselves is known.

    ``trees`` are the forests to show, by environment; ``accuracies`` the measured preference
    accuracies by the recipe digest of their policy. ``with_paper`` sets the paper's printed figures
    beside one's own.
    """

    rows: tuple[EvaluationRow, ...]
    with_paper: bool = False
    store: Store | None = None
    trees: Mapping[str, Entry] = field(default_factory=dict)
    accuracies: Mapping[str, Entry] = field(default_factory=dict)

    @cached_property
    def cohorts(self) -> tuple[Cohort, ...]:
        """All rows, those that differ in the training seed alone taken together."""
        return cohorts(self.rows)

    @cached_property
    def main(self) -> tuple[Cohort, ...]:
        """The cohorts of the recipe itself; all where it was not evaluated."""
        return main_cohorts(self.cohorts) or self.cohorts

    @cached_property
    def main_rows(self) -> Mapping[str, list[EvaluationRow]]:
        """By environment, the rows of the recipe's own settings and main models."""
        return main_rows(self.rows)

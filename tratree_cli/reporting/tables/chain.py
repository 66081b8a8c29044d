"""The staircase of a chain: for each link both models' SFT, the method, its controls, the ceiling.

The chain's own row begins with the method itself, whose first link has no model before it. What a
link recovers of the gap between its weak model and its ceiling stands in a second table, beside
what the chain adds to a restart from the demonstrations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tratree_cli.display.blocks import NUMBER, RATIO, TEXT, Cell, Column, Row, Table
from tratree_cli.evaluation.compare import paired_difference, performance_gap_recovered
from tratree_cli.methods.registry import BASELINE, CEILING, WEAK, is_method, method
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.comparison_cells import difference_cell
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rounds_and_chains import MODELS
from tratree_cli.reporting.selection import EvalSet, eval_sets
from tratree_cli.reporting.tables.reward_cells import reward_cell, spread_note


@dataclass(frozen=True)
class _Chain:
    """The chain of one method where it was evaluated: its models, and all cohorts there."""

    method: str
    models: tuple[str, ...]
    groups: tuple[Cohort, ...]

    @property
    def links(self) -> list[tuple[str, str]]:
        """The weak and the strong model of each link."""
        return [*zip(self.models, self.models[1:], strict=False)]

    def of(self, name: str, weak: str, strong: str) -> Cohort | None:
        """The cohort of a method at the link of these two models."""
        return next(
            (
                group
                for group in self.groups
                if group.method == name
                and group.descriptor.family in ("", strong)
                and group.descriptor.weak in ("", weak)
            ),
            None,
        )

    def chained(self, number: int) -> Cohort | None:
        """The chain's model of link ``number``, from 0; the first has none before it."""
        name = f"{self.method}/chain" if number else self.method
        return self.of(name, *self.links[number])

    @property
    def rows(self) -> tuple[str, ...]:
        """The methods with a row of their own before the chain's."""
        more = [name for name in method(self.method).controls if name.endswith("sft-more")]
        return (WEAK, BASELINE, *more, self.method, f"{self.method}/restart-more")


def tables(data: ReportData) -> Iterator[Table]:
    """Two tables for each method that was trained in a chain, and each environment and split."""
    for eval_set in eval_sets(data.cohorts):
        for chain in _chains(data.cohorts, eval_set):
            where = f"{chain.method}-{eval_set.environment}-{eval_set.split}"
            yield _staircase(chain, where, eval_set.title)
            yield _gaps(chain, where, eval_set.title)


def _chains(groups: Sequence[Cohort], eval_set: EvalSet) -> list[_Chain]:
    here = tuple(g for g in groups if eval_set.holds(g) and not g.descriptor.varied)
    models: dict[str, tuple[str, ...]] = {}
    for group in here:
        if is_method(group.method) and method(group.method).beyond == "chain":
            name = group.method.partition("/")[0]
            models[name] = max(models.get(name, ()), _models(group), key=len)
    return [_Chain(name, chain, here) for name, chain in models.items() if chain]


def _models(group: Cohort) -> tuple[str, ...]:
    """The chain up to the cohort's model: what the study says, or else its configuration."""
    if said := group.descriptor.parameters.get(MODELS):
        return tuple(str(said).split(","))
    row = group.runs[0].lineage
    config = row.evaluation.provenance["config"] if row else {}
    return tuple(config.get("chain", {}).get("models", ()))


def _staircase(chain: _Chain, where: str, title: str) -> Table:
    columns = (Column("Policy", TEXT), *(Column(_named(link), NUMBER) for link in chain.links))
    found = [(name, [chain.of(name, *link) for link in chain.links]) for name in chain.rows]
    chained = (f"{chain.method}/chain", [*map(chain.chained, range(len(chain.links)))])
    ceiling = (CEILING, [chain.of(CEILING, *link) for link in chain.links])
    shown = [(name, groups) for name, groups in (*found, chained, ceiling) if any(groups)]
    used = [group for _, groups in shown for group in groups if group is not None]
    return Table(
        f"chain-{where}",
        f"{method(chain.method).title} in a chain: average reward on {title}",
        columns,
        tuple(Row((Cell(method(name).title), *map(reward_cell, g))) for name, g in shown),
        (
            "A column is a link: its weak and its strong model. In the chain the weak model's "
            f"place is taken by the model that {method(chain.method).title} made of it in the link "
            "before; the first link has none before it. Restarted: the SFT weak model plays as "
            "many episodes as all links so far.",
            *spread_note(used),
        ),
    )


def _gaps(chain: _Chain, where: str, title: str) -> Table:
    rows = []
    for number, link in enumerate(chain.links):
        weak, ceiling = chain.of(WEAK, *link), chain.of(CEILING, *link)
        restart = chain.of(chain.method, *link) if number else None
        more = chain.of(f"{chain.method}/restart-more", *link)
        for own in filter(None, (restart, chain.chained(number))):
            others = (restart, more) if own is not restart else (None, None)
            gap = performance_gap_recovered(*map(_value, (own, weak, ceiling)))
            cells = (_difference(own, other) for other in others)
            rows.append(Row((Cell(_named(link)), Cell(own.name), Cell(gap.recovered), *cells)))
    return Table(
        f"chain-gap-{where}",
        f"{method(chain.method).title} in a chain: gap recovered on {title}",
        (
            Column("Link", TEXT),
            Column("Policy", TEXT),
            Column("Gap", RATIO),
            Column("To restart", NUMBER),
            Column("All episodes", NUMBER),
        ),
        tuple(rows),
        (
            "Gap: (policy − SFT weak) ÷ (ceiling − SFT weak) of the link; a dash where the ceiling "
            "is not above the weak model. Then what the chain has above the restart from the "
            "demonstrations, with the link's episodes and with those of all links so far: paired "
            "bootstrap intervals over tasks; * where one leaves out 0.",
        ),
    )


def _named(link: tuple[str, str]) -> str:
    """Both models, a folder by its last name."""
    return " → ".join(Path(name).name if Path(name).is_absolute() else name for name in link)


def _value(group: Cohort | None) -> float | None:
    return group.reward.value if group is not None and group.reward else None


def _difference(own: Cohort, other: Cohort | None) -> Cell:
    if other is None:
        return Cell()
    metrics = other.runs[0].evaluation.metrics
    paired = paired_difference(
        own.task_rewards,
        other.task_rewards,
        resamples=metrics.resamples,
        level=metrics.level,
        seed=metrics.seed,
    )
    return difference_cell(paired)

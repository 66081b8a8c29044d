"""The evidence of section 3.3 in a report: read from the lineage, the tree and the agreements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

from tratree_cli.stages import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.evaluation.document import Table
    from tratree_cli.evaluation.theory import Informativeness
    from tratree_cli.stages.report_rows import MadeFrom
    from tratree_cli.trees.pairs import PairSet


def blocks(
    store: Store,
    rows: Sequence[MadeFrom],
    agreements: Mapping[str, Entry],
    trees: Sequence[Entry],
) -> tuple[Table, ...]:
    """The tables of section 3.3; ``agreements`` by the policy's recipe."""
    from tratree_cli.evaluation.theory import informativeness_table, theory_table

    found = [theory_table(_evidence(store, rows, agreements))]
    if trees:
        found.append(informativeness_table(informativeness(trees[0])))
    return tuple(table for table in found if table is not None)


def _evidence(store: Store, rows: Sequence[MadeFrom], agreements: Mapping[str, Entry]) -> list[Any]:
    """One row a method: means over its training seeds, of the recipe's own settings only."""
    from tratree_cli.evaluation import methods
    from tratree_cli.evaluation.theory import PreferenceEvidence

    groups: dict[str, list[Entry]] = {}
    for row in rows:
        if row.policy is not None and not row.varied and row.method != methods.BEST_OF_N:
            groups.setdefault(row.method, []).append(row.policy)
    found = []
    for method in sorted(groups, key=methods.rank):
        policies = groups[method]
        pairs = [p for policy in policies for p in lineage.sources(store, policy, "pairs")]
        measured = [
            agreements[policy.recipe].summary for policy in policies if policy.recipe in agreements
        ]
        if not pairs and not measured:
            continue
        counts = [int(entry.summary.get("pairs", 0)) for entry in pairs]
        found.append(
            PreferenceEvidence(
                label=methods.title(method),
                pairs=round(fmean(counts)) if counts else None,
                held_out=sum(int(one["pairs"]) for one in measured) if measured else None,
                accuracy=_mean(measured, "accuracy"),
                margin=_mean(measured, "margin"),
                kl=_mean(measured, "kl"),
                score_gap=_mean([entry.summary for entry in pairs], "mean_gap"),
                same_as_baseline=any("adopted" in policy.summary for policy in policies),
            )
        )
    return found


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [float(one[name]) for one in summaries if one.get(name) is not None]
    return fmean(known) if known else None


def informativeness(tree: Entry) -> list[Informativeness]:
    """Pairs of this forest's divergences against pairs of whole trajectories of one task."""
    from tratree_cli.evaluation.theory import Informativeness
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.trees.pairs import mine, mine_whole

    forest = read_tree(tree.path).forest
    columns = forest.columns
    lengths = columns.lengths

    def of(label: str, found: PairSet) -> Informativeness:
        # Everything from the divergence on is taught; a pair of whole trajectories teaches it all.
        taught = [int(lengths[p.chosen] + lengths[p.rejected]) - 2 * p.step for p in found.pairs]
        return Informativeness(
            label,
            len(found.pairs),
            tuple(pair.gap for pair in found.pairs),
            tuple(taught),
            tuple(pair.step for pair in found.pairs),
        )

    chance: dict[int, list[int]] = {}
    for trajectory in range(len(columns)):
        if columns.counted[trajectory] and columns.score[trajectory] == columns.score[trajectory]:
            chance.setdefault(int(columns.task[trajectory]), []).append(trajectory)
    drawn = [pair for members in chance.values() for pair in combinations(members, 2)]
    gaps = tuple(abs(float(columns.score[a] - columns.score[b])) for a, b in drawn)
    taught = tuple(int(lengths[a] + lengths[b]) for a, b in drawn)
    return [
        of("tree: divergences", mine(forest, min_gap=0.0)),
        of("unstructured: reward alone", mine_whole(columns, min_gap=0.0)),
        Informativeness("any two trajectories", len(drawn), gaps, taught, tuple(0 for _ in drawn)),
    ]

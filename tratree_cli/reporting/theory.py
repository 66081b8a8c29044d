"""The evidence of section 3.3 in a report: read from the lineage, the tree and the agreements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from tratree_cli.reporting import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.display.blocks import Block
    from tratree_cli.reporting.rows import Told
    from tratree_cli.reporting.tables.theory import Informativeness
    from tratree_cli.trees.pairs import PairSet


def blocks(
    store: Store,
    told: Sequence[Told],
    agreements: Mapping[str, Entry],
    trees: Sequence[Entry],
) -> tuple[Block, ...]:
    """The tables of section 3.3; ``agreements`` by the policy's recipe."""
    from tratree_cli.reporting.artifact_sections import by_environment
    from tratree_cli.reporting.rows import environment_of
    from tratree_cli.reporting.tables.theory import informativeness_table, theory_table

    evidence = theory_table(_evidence(store, told, agreements))
    found: dict[str, list[Block]] = {row.evaluation.descriptor.environment: [] for row, _ in told}
    for tree in trees:
        table = informativeness_table(informativeness(tree))
        found[environment_of(tree)] = [table] if table is not None else []
    return (*([evidence] if evidence is not None else []), *by_environment(found))


class _Group(NamedTuple):
    """What figures may be averaged over: one method, environment and pair of models."""

    environment: str
    method: str
    strong: str
    weak: str


def _evidence(store: Store, told: Sequence[Told], agreements: Mapping[str, Entry]) -> list[Any]:
    """One row a group: means over training seeds.

    Of the recipe's own settings only; a policy that was evaluated several times counts once.
    """
    from tratree_cli.evaluation import methods
    from tratree_cli.reporting.tables.theory import PreferenceEvidence

    groups: dict[_Group, dict[str, Entry]] = {}
    for row, made in told:
        one = row.evaluation.descriptor
        if made.policy is not None and not one.varied and made.method != methods.BEST_OF_N:
            group = _Group(one.environment, made.method, one.family, one.weak)
            groups.setdefault(group, {})[made.policy.recipe] = made.policy
    found = []
    for group in sorted(groups, key=lambda group: (methods.rank(group.method), group)):
        policies = list(groups[group].values())
        pairs = [p for policy in policies for p in lineage.sources(store, policy, "pairs")]
        measured = [
            agreements[policy.recipe].summary for policy in policies if policy.recipe in agreements
        ]
        if not pairs and not measured:
            continue
        counts = [int(entry.summary.get("pairs", 0)) for entry in pairs]
        found.append(
            PreferenceEvidence(
                label=_label(group, groups),
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


def _label(group: _Group, groups: Collection[_Group]) -> str:
    """The method, with its environment and models where those of others differ."""
    from tratree_cli.evaluation import methods
    from tratree_cli.reporting.selection import place_name

    words = [methods.title(group.method)]
    if len({one.environment for one in groups}) > 1:
        words.append(place_name(group.environment))
    if sum(one[:2] == group[:2] for one in groups) > 1:
        words.append(" from ".join(filter(None, group[2:])))
    return ", ".join(words)


def _mean(summaries: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [float(one[name]) for one in summaries if one.get(name) is not None]
    return fmean(known) if known else None


def informativeness(tree: Entry) -> list[Informativeness]:
    """Pairs of this forest's divergences against pairs of whole trajectories of one task."""
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.reporting.tables.theory import Informativeness
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

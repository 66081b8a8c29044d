"""Preference pairs: divergences of the tree (Eq. 6), the baselines' rules, and other packages'."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from tratree_cli.config import Config
from tratree_cli.methods.pair_rule import (
    PAIR_RULES,
    MiningParameters,
    PairRule,
    PairSources,
    pair_rule,
)
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages import build_tree, demos, explore
from tratree_cli.stages.pair_settings import horizon_of, section_of
from tratree_cli.stages.plugin_settings import own_settings

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.rollouts import Rollouts
    from tratree_cli.trees.pairs import PairSet, TieBreak


@dataclass(frozen=True)
class MinePairsParameters:
    """``select`` and ``per_node`` are there where the rule reads them.

    ``horizon`` is 0 where continuations go to the end, with ``mixed`` every pair is there cut and
    to the end. ``parameters`` are all settings of a rule that has its own.
    """

    rule: str
    min_gap: float
    per_task: int
    seed: int
    select: str | None = keyed_unless(None)
    per_node: int | None = keyed_unless(None)
    horizon: int = keyed_unless(0, since=4)
    mixed: bool = keyed_unless(False, since=4)
    min_chosen: float = keyed_unless(0.0, since=4)
    keep_invalid: bool = keyed_unless(False, since=4)
    per_kind: int = keyed_unless(0, since=4)
    tie_break: str = keyed_unless("", since=4)
    mirror: bool = keyed_unless(False, since=4)
    leave_out: str = keyed_unless("none", since=5)
    parameters: Mapping[str, Any] | None = keyed_unless(None)
    rule_version: int = keyed_unless(1)


STAGE = Stage("mine-pairs", 5, "pairs", "tratree_cli.stages.mine_pairs:run", MinePairsParameters)


def node(
    config: Config,
    *,
    rule: str = "",
    explorer: str = "",
    trees: Sequence[Node | Entry] | None = None,
    rollouts: Sequence[Node | Entry] | None = None,
    demonstrations: Sequence[Node | Entry] | None = None,
) -> Node:
    """Pairs by ``rule`` (default: the configuration's), each with its own inputs and producers.

    ``explorer`` is whose exploration is mined where nothing is given; empty leaves it to the rule.
    """
    chosen = pair_rule(rule or config.pairs.rule)

    def explored() -> tuple[Node | Entry, ...]:
        return tuple(rollouts or (explore.node(config, explorer=explorer or chosen.explorer),))

    def compared() -> tuple[Node | Entry, ...]:
        if not chosen.with_demonstrations:
            return explored()
        return (*explored(), *(demonstrations or (demos.node(config),)))

    inputs: dict[str, Sequence[Node | Entry]] = {}
    if "tree" in chosen.sources:
        inputs["tree"] = tuple(trees or (_trees(config, chosen, compared()),))
    if "rollouts" in chosen.sources:
        inputs["rollouts"] = explored()
    if "demos" in chosen.sources:
        inputs["demos"] = tuple(demonstrations or (demos.node(config),))
    return Node(
        stage=STAGE,
        label=f"{chosen.name} pairs",
        config=config,
        params=_parameters(config, chosen),
        inputs=inputs,
        modules=(chosen.body.partition(":")[0],),
    )


def _trees(config: Config, rule: PairRule, rollouts: Sequence[Node | Entry]) -> Node:
    """The default producer of a rule's trees."""
    if rule.merge and config.tree.merge != rule.merge:
        config = config.with_values({"tree": {"merge": rule.merge}}, f"pair rule {rule.name}")
    return build_tree.node(config, rollouts=rollouts)


def _parameters(config: Config, rule: PairRule) -> MinePairsParameters:
    section = section_of(config, rule)
    horizon, mixed = horizon_of(section)
    return MinePairsParameters(
        rule=rule.name,
        min_gap=section.min_gap,
        per_task=section.per_task,
        seed=config.seed,
        select=section.select if "select" in rule.reads else None,
        per_node=section.per_node if "per_node" in rule.reads else None,
        horizon=horizon,
        mixed=mixed,
        min_chosen=section.min_chosen,
        keep_invalid=section.keep_invalid,
        per_kind=section.per_kind,
        tie_break=section.tie_break if "tie_break" in rule.reads else "",
        mirror=section.mirror,
        leave_out=section.leave_out,
        parameters=own_settings(
            PAIR_RULES, rule.name, rule.settings, section.parameters, "pairs.parameters"
        ),
        rule_version=rule.version,
    )


def run(job: Job[MinePairsParameters]) -> Result:
    from tratree_cli.formats.pairs import render_pairs, write_pairs

    rule = pair_rule(job.params.rule)
    sources = _sources(job, rule)
    mined = rule.load()(sources, _mining(job.params, rule))
    if not job.params.keep_invalid and "keep_invalid" not in rule.reads:
        mined = _valid(mined, sources)
    dropped = {reason: count for reason, count in mined.dropped.items() if count}
    write_pairs(
        render_pairs(mined, sources.rollouts, sources.demos, rule=rule.name),
        job.out,
        meta={"rule": rule.name, "dropped": dropped, "divergences": mined.divergences},
    )
    gaps = [pair.gap for pair in mined.pairs]
    kinds = Counter(pair.kind for pair in mined.pairs)
    other = Counter(pair.basis for pair in mined.pairs if pair.basis != "score")
    summary = {
        "pairs": len(mined.pairs),
        "tasks_with_pairs": len({pair.task for pair in mined.pairs}),
        "divergences": mined.divergences,
        "mean_gap": round(sum(gaps) / len(gaps), 3) if gaps else 0.0,
        "kinds": dict(sorted(kinds.items(), key=lambda each: (-each[1], each[0]))),
        **{f"by_{basis}": count for basis, count in sorted(other.items())},
        "dropped": dropped,
    }
    return Result(summary, warnings=[] if mined.pairs else [_uninformative(job.params.min_gap)])


def _sources(job: Job[MinePairsParameters], rule: PairRule) -> PairSources:
    from tratree_cli.envs.registry import action_kind_of
    from tratree_cli.formats.merging import merge_rollouts
    from tratree_cli.formats.trees import read_tree

    demonstrations = _merged(job, "demos") if "demos" in job.inputs else None
    forest, graph = None, None
    if "tree" in job.inputs:
        tree = read_tree(job.one("tree").path)
        rollouts, forest, graph = tree.rollouts, tree.forest, tree.graph
    else:
        rollouts = _merged(job, "rollouts")
    kind = action_kind_of(str(rollouts.environment.get("name", "")))
    own = len(rollouts.trajectories)
    if rule.with_demonstrations and demonstrations is not None:
        rollouts, demonstrations = merge_rollouts([rollouts, demonstrations]), None
    sources = PairSources(rollouts, forest, demonstrations, kind, own, graph)
    return _without(sources, job.params.leave_out) if job.params.leave_out != "none" else sources


def _without(sources: PairSources, group: str) -> PairSources:
    """The sources as if no trajectory of one stratum had been explored."""
    import numpy as np

    from tratree_cli.formats.strata import left_out, without
    from tratree_cli.trees.left_out import forest_without, graph_without

    explored = range(len(sources.rollouts.trajectories))[: sources.own]
    found = left_out(sources.rollouts, group)
    marks = [mark and place in explored for place, mark in enumerate(found)]
    marked = np.array(marks, dtype=np.bool_)
    return replace(
        sources,
        rollouts=without(sources.rollouts, marks),
        forest=forest_without(sources.forest, marked) if sources.forest is not None else None,
        graph=graph_without(sources.graph, marked) if sources.graph is not None else None,
    )


def _valid(mined: PairSet, sources: PairSources) -> PairSet:
    """The pairs of a rule that keeps whatever it finds, without those of turns without effect."""
    from tratree_cli.formats.columns import columns_from_rollouts
    from tratree_cli.trees.pair_limits import without_invalid_sides

    demos = columns_from_rollouts(sources.demos) if mined.demonstrated and sources.demos else None
    return without_invalid_sides(mined, columns_from_rollouts(sources.rollouts), demos)


def _merged(job: Job[MinePairsParameters], role: str) -> Rollouts:
    from tratree_cli.formats.merging import merge_rollouts
    from tratree_cli.formats.rollouts import read_rollouts

    return merge_rollouts([read_rollouts(entry.path) for entry in job.inputs[role]])


def _mining(params: MinePairsParameters, rule: PairRule) -> MiningParameters:
    """The keyed parameters as the rule reads them."""
    given = {name: getattr(params, name) for name in ("select", "per_node")}
    own = rule.settings(**params.parameters or {}) if rule.settings is not None else None
    return MiningParameters(
        min_gap=params.min_gap,
        per_task=params.per_task,
        seed=params.seed,
        horizon=params.horizon,
        mixed=params.mixed,
        min_chosen=params.min_chosen,
        keep_invalid=params.keep_invalid,
        per_kind=params.per_kind,
        tie_break=cast("TieBreak", params.tie_break),
        mirror=params.mirror,
        own=own,
        **{name: value for name, value in given.items() if value is not None},
    )


def _uninformative(min_gap: float) -> str:
    """The failure-safe case of section 3.3, and what a person can change about it."""
    return (
        f"no pair differs by more than {min_gap} in score, so training on these would "
        "leave the strong model as it is; explore more (-m), at a higher --temperature, or lower "
        "--min-gap"
    )

"""Preference pairs: divergences of the tree (Eq. 6), the baselines' rules, and other packages'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
from tratree_cli.stages.plugin_settings import own_settings

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.formats.rollouts import Rollouts


@dataclass(frozen=True)
class MinePairsParameters:
    """``select``, ``per_node`` and ``horizon`` are there where the rule reads them.

    ``parameters`` are all settings of a rule that has its own.
    """

    rule: str
    min_gap: float
    per_task: int
    seed: int
    select: str | None = keyed_unless(None)
    per_node: int | None = keyed_unless(None)
    horizon: int | None = keyed_unless(None)
    parameters: Mapping[str, Any] | None = keyed_unless(None)
    rule_version: int = keyed_unless(1)


STAGE = Stage("mine-pairs", 4, "pairs", "tratree_cli.stages.mine_pairs:run", MinePairsParameters)


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
        return (explore.node(config, explorer=explorer or chosen.explorer),)

    inputs: dict[str, Sequence[Node | Entry]] = {}
    if "tree" in chosen.sources:
        inputs["tree"] = tuple(trees or (build_tree.node(config, rollouts=explored()),))
    if "rollouts" in chosen.sources:
        inputs["rollouts"] = tuple(rollouts or explored())
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


def _parameters(config: Config, rule: PairRule) -> MinePairsParameters:
    section = config.pairs
    return MinePairsParameters(
        rule=rule.name,
        min_gap=section.min_gap,
        per_task=section.per_task,
        seed=config.seed,
        select=section.select if "select" in rule.reads else None,
        per_node=section.per_node if "per_node" in rule.reads else None,
        horizon=section.horizon if "horizon" in rule.reads else None,
        parameters=own_settings(
            PAIR_RULES, rule.name, rule.settings, section.parameters, "pairs.parameters"
        ),
        rule_version=rule.version,
    )


def run(job: Job[MinePairsParameters]) -> Result:
    from tratree_cli.formats.pairs import render_pairs, write_pairs

    rule = pair_rule(job.params.rule)
    sources = _sources(job)
    mined = rule.load()(sources, _mining(job.params, rule))
    dropped = {reason: count for reason, count in mined.dropped.items() if count}
    write_pairs(
        render_pairs(mined, sources.rollouts, sources.demos, rule=rule.name),
        job.out,
        meta={"rule": rule.name, "dropped": dropped, "divergences": mined.divergences},
    )
    gaps = [pair.gap for pair in mined.pairs]
    summary = {
        "pairs": len(mined.pairs),
        "tasks_with_pairs": len({pair.task for pair in mined.pairs}),
        "divergences": mined.divergences,
        "mean_gap": round(sum(gaps) / len(gaps), 3) if gaps else 0.0,
        "dropped": dropped,
    }
    return Result(summary, warnings=[] if mined.pairs else [_uninformative(job.params.min_gap)])


def _sources(job: Job[MinePairsParameters]) -> PairSources:
    from tratree_cli.formats.trees import read_tree

    demonstrations = _merged(job, "demos") if "demos" in job.inputs else None
    if "tree" in job.inputs:
        tree = read_tree(job.one("tree").path)
        return PairSources(tree.rollouts, tree.forest, demonstrations)
    return PairSources(_merged(job, "rollouts"), None, demonstrations)


def _merged(job: Job[MinePairsParameters], role: str) -> Rollouts:
    from tratree_cli.formats.merging import merge_rollouts
    from tratree_cli.formats.rollouts import read_rollouts

    return merge_rollouts([read_rollouts(entry.path) for entry in job.inputs[role]])


def _mining(params: MinePairsParameters, rule: PairRule) -> MiningParameters:
    """The keyed parameters as the rule reads them."""
    given = {name: getattr(params, name) for name in ("select", "per_node", "horizon")}
    own = rule.settings(**params.parameters or {}) if rule.settings is not None else None
    return MiningParameters(
        min_gap=params.min_gap,
        per_task=params.per_task,
        seed=params.seed,
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

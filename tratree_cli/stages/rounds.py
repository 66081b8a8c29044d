"""Rounds: what was trained explores again, the trees grow, pairs and paths are mined anew.

Round 1 is the method itself. Every later round is made of the stages that round 1 is made of, with
other explorations and another start; here is only how they follow each other and when they end,
which is decided on dev as they are played. Each exploration, tree, training and evaluation is an
artifact like all others: what is finished is not done again after a kill, and a later study with
more rounds goes on where this one ended. The result is the model of the best round itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.registry import method
from tratree_cli.pipeline.graph import Job, Node, Result, Stage, order
from tratree_cli.pipeline.parameters import key_document, keyed_unless
from tratree_cli.sections import AS_SEED
from tratree_cli.stages import build_tree, evaluate, explore, train_strong
from tratree_cli.stages.sft import on_dev
from tratree_cli.training.rounds import ROUNDS, PlayedRound, Rounds

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class RoundsParameters:
    """``stages`` are those of the second round in their order, with what keys each of them.

    All later rounds have the same, but for who explores and how often.
    """

    method: str
    number: int
    explorer: str
    init: str
    patience: int
    dev_tasks: int
    seed: int
    stages: tuple[Mapping[str, Any], ...]
    data_seed: int = keyed_unless(AS_SEED)


STAGE = Stage("rounds", 1, "model", "tratree_cli.stages.rounds:run", RoundsParameters)


def node(config: Config, name: str) -> Node:
    """The best model of several rounds of the method ``name``."""
    section = config.rounds
    first = train_strong.node(config, name)
    dev = _dev(config, first, 1)
    later, used = _later(config, method(name), first, dev)
    return Node(
        stage=STAGE,
        label=f"strong model, {name}, up to {section.number} rounds",
        config=config,
        params=RoundsParameters(
            method=name,
            number=section.number,
            explorer=section.explorer,
            init=section.init,
            patience=section.patience,
            dev_tasks=section.dev_tasks,
            seed=config.seed,
            stages=tuple(map(_document, later)),
            data_seed=config.train.data_seed,
        ),
        inputs={"first": (first,), "dev": (dev,), "used": used},
        environment=dev.environment,
        templates=dev.templates,
        locations=dev.locations,
        modules=tuple(dict.fromkeys(m for one in later for m in (one.stage.module, *one.modules))),
        recorded={"role": method(name).role},
    )


def explorations(
    config: Config, record: Method, number: int, models: Sequence[Node | Entry]
) -> tuple[Node, ...]:
    """What the round ``number`` learns from; ``models`` are those of the rounds before it.

    Whoever explored first plays ``number`` times as many samples where it goes on exploring, the
    first of which are there already. A model that was trained plays as many as in one round, with
    draws of its own.
    """
    section = config.rounds
    times = number if section.explorer in ("weak", "both") else 1
    own = "strong" if record.own_exploration else ""
    first = explore.node(more_samples(config, times), explorer=own)
    if section.explorer == "weak":
        return (first,)
    before = sum(role.startswith("strong") for role in first.params.roles)
    later = [
        replace(
            explore.node(config, policies=(model,), roles=(_numbered(before + place),)),
            label=f"exploration, round {place + 1}",
        )
        for place, model in enumerate(models, 1)
    ]
    return (first, *later)


def more_samples(config: Config, times: int) -> Config:
    """The configuration in which each task is explored so many times as often."""
    if times == 1:
        return config
    return config.with_values({"explore": {"m": config.explore.m * times}}, "rounds")


def _numbered(number: int) -> str:
    """The role of the ``number``-th strong model that explores (``explore.distinct_roles``)."""
    return "strong" if number == 1 else f"strong-{number}"


def _training(
    config: Config,
    record: Method,
    number: int,
    explored: Sequence[Node | Entry],
    before: Node | Entry,
) -> Node:
    """The training of a later round; ``before`` is the model of the round before it.

    A reference that is the strong SFT model, where round 1 starts, is where this one starts.
    """
    last = config.rounds.init == "last"
    anchored = last and record.reference == "strong" and not config.dpo.ref
    trained = train_strong.node(
        config,
        record.name,
        init=before if last else None,
        reference=before if anchored else None,
        explored=explored,
    )
    return replace(trained, label=f"{trained.label}, round {number}")


def _dev(config: Config, model: Node | Entry, number: int) -> Node:
    played = evaluate.node(on_dev(config, config.rounds.dev_tasks), policy=model)
    return replace(played, label=f"dev evaluation, round {number}")


def _later(
    config: Config, record: Method, first: Node, dev: Node
) -> tuple[list[Node], tuple[Node, ...]]:
    """The nodes that the second round adds, and those of the first that they are made from."""
    explored = explorations(config, record, 2, (first,))
    trees = build_tree.node(config, rollouts=explored)
    second = _training(config, record, 2, explored, first)
    known = {one.key for one in order([first, dev])}
    added = [one for one in order([trees, second, _dev(config, second, 2)]) if one.key not in known]
    own = {one.key for one in added}
    used = {source.key: source for one in added for source in one.upstream()}
    return added, tuple(one for key, one in used.items() if key not in own)


def _document(added: Node) -> dict[str, Any]:
    stage = added.stage
    document = {"stage": stage.name, "version": stage.version, "params": added.key_params}
    return {**document, "models": dict(added.models)} if added.models else document


def run(job: Job[RoundsParameters]) -> Result:
    config, params = cast(Config, job.node.config), job.params
    record = method(params.method)
    _require_same_stages(config, params)
    models, played = [job.one("first")], [job.one("dev")]
    explored, trees = _grown(job, config, record, 1, models)
    rounds = Rounds((), params.number, int(played[0].summary["tasks"]))
    rounds = _with(rounds, models[0], played[0], explored, trees)
    for number in range(2, params.number + 1):
        before = trees
        explored, trees = _grown(job, config, record, number, models)
        if trees.summary["divergences"] <= before.summary["divergences"]:
            new = _episodes(explored) - rounds.episodes
            ended = (
                f"round {number} found no new divergence in the trees ({new} new episodes), so it "
                "was not trained and the rounds ended"
            )
            rounds = replace(rounds, ended=ended, explored=new)
            break
        models.append(job.realise(_training(config, record, number, explored, models[-1])))
        played.append(job.realise(_dev(config, models[-1], number)))
        rounds = _with(rounds, models[-1], played[-1], explored, trees)
        if rounds.stalled(params.patience) and number < params.number:
            rounds = replace(rounds, ended=_without_gain(rounds))
            break
    chosen = models[rounds.best.number - 1]
    no_divergence = [rounds.ended] if rounds.explored else []
    warnings = [str(text) for text in chosen.provenance.get("warnings", ())]
    return Result(
        {**chosen.summary, ROUNDS: rounds.record()},
        warnings=[*warnings, *no_divergence],
        adopt=chosen,
        partial=any(bool(one.provenance.get("partial")) for one in (*models, *played)),
    )


def _require_same_stages(config: Config, params: RoundsParameters) -> None:
    """Later rounds are made by the configuration, and the key says which stages these are."""
    if node(config, params.method).key_params != key_document(params):
        raise InputError(
            f"the recorded configuration of {params.method}/rounds does not give the stages that "
            "it is keyed by; make it again with tratree run"
        )


def _grown(
    job: Job[RoundsParameters],
    config: Config,
    record: Method,
    number: int,
    models: Sequence[Entry],
) -> tuple[list[Entry], Entry]:
    """The explorations that a round learns from, and the trees of all of them."""
    before = models[: number - 1]
    explored = [job.realise(one) for one in explorations(config, record, number, before)]
    return explored, job.realise(build_tree.node(config, rollouts=explored))


def _with(
    rounds: Rounds, model: Entry, dev: Entry, explored: Sequence[Entry], trees: Entry
) -> Rounds:
    """The rounds and one more; its episodes are those that no round before it had."""
    low, high = dev.summary.get("interval", (None, None))
    trained = 0 if "adopted" in model.summary else int(model.summary.get("optimizer_steps", 0))
    one = PlayedRound(
        number=len(rounds.played) + 1,
        episodes=_episodes(explored) - rounds.episodes,
        divergences=int(trees.summary["divergences"]),
        updates=trained,
        reward=float(dev.summary["average_reward"]),
        low=low,
        high=high,
        success=float(dev.summary["success_rate"]),
        model=model.recipe,
        evaluation=dev.recipe,
    )
    return replace(rounds, played=(*rounds.played, one))


def _episodes(explored: Sequence[Entry]) -> int:
    return sum(int(one.summary["trajectories"]) for one in explored)


def _without_gain(rounds: Rounds) -> str:
    last, best = rounds.played[-1], rounds.best
    return (
        f"round {last.number} brought no gain on dev ({last.reward:.1f} after {best.reward:.1f} in "
        f"round {best.number}), so the rounds ended"
    )

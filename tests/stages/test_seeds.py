"""Seeds of episodes follow what a policy is in the experiment, never its bytes or its name."""

from __future__ import annotations

from pathlib import Path

from tratree_cli.agents.sampling_plan import SamplingPlan
from tratree_cli.config import load_recipe
from tratree_cli.formats.rollouts import read_rollouts
from tratree_cli.pipeline.reporter import SilentReporter
from tratree_cli.pipeline.runtime import Runtime
from tratree_cli.stages import evaluate, explore, sft, train_strong


def seeds(folder: Path) -> list[tuple[str, int, int]]:
    return [(t.task, t.sample, t.seed) for t in read_rollouts(folder).trajectories]


def test_an_evaluation_plays_every_policy_with_the_same_draws(tmp_path: Path) -> None:
    config = load_recipe("micro", "webshop").with_values(
        {"eval": {"tasks": 2, "samples": 2, "temperature": 1.0}}, "test"
    )
    runtime = Runtime(tmp_path / "store", SilentReporter())
    entries = [
        runtime.realise(evaluate.node(config, policy=policy)) for policy in ("random", "expert")
    ]
    assert seeds(entries[0].path) == seeds(entries[1].path)
    assert len({seed for _, _, seed in seeds(entries[0].path)}) == 4


def test_models_with_other_bytes_explore_with_the_same_draws_in_shards_of_their_own() -> None:
    one, other = (
        SamplingPlan(["a", "b"], m=2, sources=(digest,), roles=("weak",)).shards()
        for digest in ("0" * 64, "1" * 64)
    )
    drawn = [
        [request.seed for shard in shards for request in shard.requests] for shards in (one, other)
    ]
    assert drawn[0] == drawn[1]
    assert not {shard.key for shard in one} & {shard.key for shard in other}


def test_two_explorers_play_together_what_each_plays_alone() -> None:
    plans = {
        roles: SamplingPlan(["a", "b"], m=2, sources=roles, roles=roles).shards()
        for roles in (("weak",), ("strong",), ("weak", "strong"))
    }
    keys = {roles: {shard.key for shard in shards} for roles, shards in plans.items()}
    assert keys["weak", "strong"] == keys["weak",] | keys["strong",]


def test_the_explorers_role_is_keyed_and_two_of_one_role_draw_differently() -> None:
    config = load_recipe("micro", "webshop")
    weak, strong = sft.node(config, "weak"), sft.node(config, "strong")
    assert explore.node(config).params.roles == ("weak",)
    assert explore.node(config, explorer="strong").params.roles == ("strong",)
    both = explore.node(config, explorer="both")
    assert both.params.roles == ("weak", "strong") and both.params.policies == ("model",) * 2
    assert [model.key for model in both.inputs["policy"]] == [weak.key, strong.key]  # type: ignore[union-attr]
    trained = train_strong.node(config, "mcts")
    given = (weak, strong, trained, "random")
    assert explore.distinct_roles(given) == ("weak", "strong", "strong-2", "random")

"""Published recipes of the neighbours: their settings, pairs, references, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.trees.making import made_rollouts
from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.formats.merging import merge_rollouts
from tratree_cli.formats.pairs import render_pairs
from tratree_cli.methods.pair_rule import MiningParameters, PairSources, pair_rule
from tratree_cli.methods.registry import METHODS, method
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.pipeline.parameters import key_document
from tratree_cli.sections import DpoSection
from tratree_cli.stages import schedules, train_strong
from tratree_cli.stages.training_inputs import training_arguments

MICRO = load_recipe("micro", "webshop")
RECIPES = {"eto": "eto-expert", "dmpo": "dmpo", "ipr": "ipr"}


def config(**sections: Any) -> Config:
    return MICRO.with_values(sections, "the test")


def stages(node: Node) -> list[str]:
    return [one.label for one in order([node])]


# -- recipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_recipe_trains_all_weights_near_where_it_starts(recipe: str) -> None:
    loaded = load_recipe(recipe)
    dpo, sft = loaded.dpo, loaded.sft.of("strong")
    assert RECIPES[recipe] in loaded.report.methods and "sft-strong" in loaded.report.methods
    assert (dpo.ref, dpo.beta, dpo.epochs, sft.lora_r) == ("init", 0.1, 3, 0)
    assert (sft.scheduler, sft.warmup) == ("cosine", 0.03)
    assert (dpo.scheduler, dpo.warmup) == ("constant_with_warmup", 0.1)
    published = {"eto": (1e-6, 32, 64), "dmpo": (1e-6, 32, 64), "ipr": (3e-6, 48, 48)}
    assert (dpo.learning_rate, dpo.batch_size, sft.batch_size) == published[recipe]
    assert (dpo.nll_weight, dpo.nll_per) == ((1.0, "pair") if recipe == "ipr" else (0.0, "token"))
    section = schedules.preference(loaded, method(RECIPES[recipe]))
    assert section.turn_discount == (0.7 if recipe == "dmpo" else 0.0)


def test_the_papers_own_settings_stay_what_they_are() -> None:
    paper = load_recipe("paper-llama2")
    assert (paper.dpo.beta, paper.dpo.learning_rate, paper.dpo.batch_size) == (0.1, 2e-5, 32)
    for name in ("tree-dpo", "eto", "unstructured-dpo", "ceiling"):
        assert schedules.preference(paper, method(name)) == paper.dpo
    assert method("eto").pair_rule == "eto" and pair_rule("eto").sources == ("rollouts",)


@pytest.mark.parametrize("name", RECIPES.values())
def test_a_neighbours_method_has_controls_at_equal_updates_and_without_the_preference(
    name: str,
) -> None:
    assert {f"{name}/sft-more", f"{name}/nll-only"} <= set(method(name).controls)
    own, more = (train_strong.node(config(), one) for one in (name, f"{name}/sft-more"))
    assert more.params.steps.batch_size == own.params.dpo.batch_size
    if name != "eto-expert":
        assert "eto-expert" in method(name).controls
        explored = {
            node.key
            for one in (name, "eto-expert")
            for node in order([train_strong.node(config(), one)])
            if node.stage.name == "explore"
        }
        assert len(explored) == 1, "the control learns from the same episodes"


# -- pairs -------------------------------------------------------------------------------------

OWN = made_rollouts(
    [
        ("mug", [("home", "search[mug]"), ("results", "click[blue]")], 0.2),
        ("mug", [("home", "search[cup]"), ("nothing", "click[back]")], 0.8),
        ("tie", [("home", "search[tie]"), ("ties", "buy")], 0.5),
        ("hat", [("home", "search[hat]")], 1.0),
    ]
)
EXPERT = made_rollouts(
    [
        ("tie", [("home", "search[silk tie]"), ("ties", "buy")], 0.5),
        ("mug", [("home", "search[mug]"), ("results", "click[red]")], 0.6),
    ]
)


def test_the_expert_and_the_models_own_are_paired_in_either_direction() -> None:
    rule = pair_rule("eto-expert")
    sources = PairSources(merge_rollouts([OWN, EXPERT]), own=len(OWN.trajectories))
    found = rule.load()(sources, MiningParameters(min_gap=0.0))
    records = list(render_pairs(found, sources.rollouts, None, rule=rule.name))
    sides = [(r.task, r.chosen_score, r.rejected_score) for r in records]
    assert sorted(sides) == [("mug", 0.6, 0.2), ("mug", 0.8, 0.6)]
    said = {r.chosen_score: r.chosen[-1]["content"] for r in records}
    assert said == {0.6: "Action: click[red]", 0.8: "Action: click[back]"}
    assert found.divergences == 2, "tasks that both played"
    assert found.dropped == {"gap too small": 1}, "the ties, once"
    mixed = rule.load()(sources, MiningParameters(min_gap=0.0, horizon=1, mixed=True))
    assert sorted(pair.horizon for pair in mixed.pairs) == [0, 0, 1, 1]


def test_ipr_mines_trees_of_own_trajectories_and_demonstrations() -> None:
    made = stages(train_strong.node(config(), "ipr"))
    assert made.index("demonstrations") < made.index("trajectory trees")
    assert "exploration by the strong model" in made
    tree = next(n for n in order([train_strong.node(config(), "ipr")]) if n.stage.kind == "tree")
    assert len(tree.inputs["rollouts"]) == 2


@pytest.mark.parametrize("level", ["step", "trajectory", "mixed"])
def test_trajectory_and_step_pairs_can_be_mixed_for_every_neighbour(level: str) -> None:
    for name in RECIPES.values():
        if (name, level) == ("dmpo", "step"):
            continue
        (pairs,) = train_strong.node(config(pairs={"level": level}), name).inputs["pairs"]
        assert isinstance(pairs, Node)
        assert (pairs.params.horizon, pairs.params.mixed) == {
            "step": (1, False),
            "trajectory": (0, False),
            "mixed": (1, True),
        }[level]


# -- settings ----------------------------------------------------------------------------------


def test_what_is_not_asked_for_is_keyed_nowhere() -> None:
    document = key_document(train_strong.node(config(), "tree-dpo").params)
    assert "curriculum" not in document
    new = ("turn_discount", "use_weighting", "curriculum", "nll_per", "scheduler", "warmup")
    assert not set(new) & set(document["dpo"])
    assert set(new) <= set(vars(DpoSection()))


def test_the_reference_init_is_the_very_model_that_training_starts_from() -> None:
    near = train_strong.node(config(dpo={"ref": "init"}), "tree-dpo")
    (scores,) = near.inputs["reference"]
    assert isinstance(scores, Node)
    assert scores.inputs["model"] == scores.inputs["policy"] == near.inputs["init"]
    assert near.key == train_strong.node(config(dpo={"ref": "strong-sft"}), "tree-dpo").key
    base = train_strong.node(config(dpo={"ref": "init"}, train={"init": "base"}), "tree-dpo")
    assert "reference" not in base.inputs and "SFT weak" not in " ".join(stages(base)[-1:])
    with pytest.raises(InputError, match="weak, strong-sft, init or none"):
        train_strong.node(config(dpo={"ref": "start"}), "tree-dpo")


def test_turns_are_scored_by_themselves_where_they_are_discounted_and_nowhere_else() -> None:
    def by_turn(name: str, **dpo: Any) -> bool:
        (scores,) = train_strong.node(config(dpo=dpo), name).inputs["reference"]
        assert isinstance(scores, Node)
        return bool(scores.params.by_turn)

    assert not by_turn("eto-expert") and by_turn("dmpo") and by_turn("eto", turn_discount=0.5)
    assert by_turn("dmpo/nll-only"), "the same scores serve the control"
    asked = train_strong.node(config(dpo={"turn_discount": 0.9}), "dmpo").params.dpo
    assert asked is not None and asked.turn_discount == 0.9, "a configuration comes first"
    alone = train_strong.node(config(), "dmpo/nll-only").params.dpo
    assert alone is not None and alone.turn_discount == 0.0


def test_preference_training_may_have_a_schedule_of_its_own() -> None:
    own = config(dpo={"scheduler": "constant_with_warmup", "warmup": 0.1})
    assert arguments(own) == ("constant_with_warmup", 0.1)
    assert arguments(config()) == (MICRO.sft.scheduler, MICRO.sft.warmup)
    joint = train_strong.node(own, "tree-joint").params.dpo
    assert joint is not None and (joint.scheduler, joint.warmup) == ("", -1.0)


def arguments(given: Config) -> tuple[str, float]:
    """The schedule that a training on pairs takes."""
    node = train_strong.node(given, "eto")
    options = SimpleNamespace(device="cpu", threads=1, track=())
    job: Any = SimpleNamespace(params=node.params, node=node, options=options)
    found = training_arguments(job, node.params.training, node.params.dpo)
    return found["scheduler"], found["warmup"]


def test_the_order_of_paths_belongs_to_what_learns_from_paths() -> None:
    given = config(train={"curriculum": "length"})
    orders = {
        name: train_strong.node(given, name).params.curriculum
        for name in ("mcts", "best-observed", "tree-joint", "tree-dpo", "sft-more")
    }
    assert orders == {
        "mcts": "length",
        "best-observed": "length",
        "tree-joint": "length",
        "tree-dpo": "",
        "sft-more": "",
    }


@pytest.mark.parametrize(
    ("name", "sections", "said"),
    [
        ("eto", {"dpo": {"turn_discount": 0.7}, "pairs": {"level": "step"}}, "cuts continuations"),
        ("dmpo", {"pairs": {"horizon": 1}}, "pairs.rules.eto-expert.level=trajectory"),
        ("eto", {"dpo": {"turn_discount": 0.7, "preference_weight": 0.0}}, "dpo.turn_discount is"),
        ("eto", {"dpo": {"use_weighting": True, "preference_weight": 0.0}}, "dpo.use_weighting is"),
        ("eto", {"dpo": {"use_weighting": True, "loss_type": "aot_unpaired"}}, "sorts the pairs"),
        ("mcts", {"train": {"curriculum": "length"}, "sft": {"packing": True}}, "orders paths"),
    ],
)
def test_what_would_change_nothing_is_refused_with_a_sentence(
    name: str, sections: dict[str, Any], said: str
) -> None:
    if name == "eto" and "preference_weight" in sections.get("dpo", {}):
        sections = {**sections, "dpo": {"nll_weight": 1.0, **sections["dpo"]}}
    with pytest.raises(InputError, match=said):
        train_strong.node(config(**sections), name)


def test_a_discount_may_stay_where_step_and_trajectory_pairs_are_mixed() -> None:
    given = config(dpo={"turn_discount": 0.7}, pairs={"level": "mixed"})
    params = train_strong.node(given, "eto").params
    assert params.dpo is not None and params.dpo.turn_discount == 0.7


def test_every_method_names_a_turn_discount_only_if_it_has_one() -> None:
    assert {r.name for r in METHODS.records() if r.turn_discount} == {"dmpo"}
    mirror = replace(method("dmpo"), of_pairs="mirror")
    from tratree_cli.stages.schedules import turn_discount

    assert turn_discount(config(), mirror) == 0.0

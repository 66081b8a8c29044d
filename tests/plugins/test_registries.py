"""Another package adds a method, its trainer, a pair rule and a policy without a change here."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.trees.making import made_rollouts
from tratree_cli.agents.registry import PolicyBackend, backend_of, open_policy
from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError
from tratree_cli.methods.method import Method
from tratree_cli.methods.pair_rule import MiningParameters, PairRule, PairSources, pair_rule
from tratree_cli.methods.registry import METHODS, method, methods, shown_in, trained_methods
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.registry import Registry
from tratree_cli.reporting import study
from tratree_cli.stages import evaluate, explore, method_graph, mine_pairs
from tratree_cli.training.trainer import TRAINERS

REPOSITORY = Path(__file__).parents[2]


def config(**parameters: Any) -> Config:
    return load_recipe("quick").with_values(parameters, "the test")


def test_the_methods_of_the_paper_use_the_same_door() -> None:
    import tomllib

    groups = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["entry-points"]
    assert METHODS.names() == sorted(groups["tratree.methods"])
    assert TRAINERS.names() == sorted(groups["tratree.trainers"])
    assert [record.name for record in methods()] == [
        "expert", "random", "sft-weak", "sft-strong", "sft-more", "tree-dpo", "mcts",
        "tree-joint", "mcts-stitched", "graph-dpo", "unstructured-dpo", "best-observed", "eto",
        "eto-expert", "dmpo", "ipr",
        "best-of-n", "ceiling",
    ]  # fmt: skip


def test_the_records_agree_with_each_other() -> None:
    for record in METHODS.records():
        assert all(method(name).name == name for name in record.controls)
        if record.pair_rule:
            explorer = "strong" if record.own_exploration else ""
            assert pair_rule(record.pair_rule).explorer == explorer
        if record.trainer:
            assert record.trainer in TRAINERS
    assert [record.name for record in shown_in("table_5")] == [
        "sft-strong", "unstructured-dpo", "tree-dpo", "mcts",
    ]  # fmt: skip


@pytest.mark.usefixtures("plugin")
def test_a_method_of_another_package_stands_after_the_products_own() -> None:
    assert [record.name for record in methods()][-1] == "rejection-sampling"
    assert "rejection-sampling" in trained_methods()
    policy = method_graph.policy(config(), "rejection-sampling")
    assert isinstance(policy, Node)
    assert policy.params.trainer == "accepted-only"
    assert [node.label for node in order([policy])] == [
        "demonstrations", "SFT strong model", "SFT weak model", "exploration",
        "strong model, rejection-sampling",
    ]  # fmt: skip


@pytest.mark.usefixtures("plugin")
def test_settings_of_a_plugin_are_typed_and_keyed() -> None:
    def key(**settings: Any) -> str:
        given = config(train={"parameters": {"accepted-only": settings}})
        return method_graph.evaluation(given, "rejection-sampling").key

    assert key() == key(least_score=0.9)
    assert key() != key(least_score=0.5)
    with pytest.raises(
        InputError, match=r"did you mean 'train\.parameters\.accepted-only\.least_score"
    ):
        key(least_scores=0.5)
    with pytest.raises(InputError, match="must be a number"):
        key(least_score="high")
    other = config(train={"parameters": {"accepted-onyl": {"least_score": 1}}})
    with pytest.raises(InputError, match=r"no trainer 'accepted-onyl' \(did you mean"):
        method_graph.evaluation(other, "mcts")


@pytest.mark.usefixtures("plugin")
def test_a_setting_of_a_plugin_can_be_swept() -> None:
    key = "train.parameters.accepted-only.least_score"
    with pytest.raises(InputError, match=f"the recipe does not name {key}"):
        study.parse_sweep(f"{key}=0.3,0.6", config())
    given = config(train={"parameters": {"accepted-only": {"least_score": 0.9}}})
    sweeps = study.parse_sweeps([f"{key}=0.3,0.9"], given)
    cells = study.cells(given, ["mcts", "rejection-sampling"], sweeps=sweeps)
    assert [(cell.method, dict(cell.settings), cell.varied) for cell in cells] == [
        ("mcts", {}, ()),
        ("rejection-sampling", {key: 0.9}, ()),
        ("rejection-sampling", {key: 0.3}, (key,)),
    ]


@pytest.mark.usefixtures("plugin")
def test_settings_of_two_plugins_stand_beside_each_other() -> None:
    given = config(train={"parameters": {"accepted-only": {"least_score": 0.5}}})
    both = given.with_values({"train": {"parameters": {"imitation": {}}}}, "the test")
    assert both.train.parameters == {"accepted-only": {"least_score": 0.5}, "imitation": {}}


@pytest.mark.usefixtures("plugin")
def test_a_pair_rule_of_another_package_mines() -> None:
    node = mine_pairs.node(config(), rule="best-against-worst")
    assert list(node.inputs) == ["rollouts"]
    assert node.key_params["parameters"] == {"successes_only": False}
    rollouts = made_rollouts(
        [
            ("mug", [("home", "a"), ("item", "buy")], 1.0),
            ("mug", [("home", "b"), ("item", "buy")], 0.5),
            ("mug", [("home", "c"), ("item", "buy")], 0.0),
            ("pen", [("home", "a"), ("item", "buy")], 0.5),
        ]
    )
    rule = pair_rule("best-against-worst")
    assert rule.settings is not None
    mined = rule.load()(PairSources(rollouts), MiningParameters(own=rule.settings()))
    assert [(pair.chosen, pair.rejected) for pair in mined.pairs] == [(0, 2)]


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(("name", "value"), [("level", "step"), ("mirror", True), ("per_kind", 1)])
def test_a_pair_rule_refuses_what_it_would_ignore(name: str, value: Any) -> None:
    given = config(pairs={name: value})
    with pytest.raises(InputError, match=rf"does not read pairs\.{name}, which is {value!r}"):
        mine_pairs.node(given, rule="best-against-worst")
    default = {"level": "", "mirror": False, "per_kind": 0}[name]
    own = config(pairs={name: value, "rules": {"best-against-worst": {name: default}}})
    assert name not in mine_pairs.node(own, rule="best-against-worst").key_params


@pytest.mark.usefixtures("plugin")
def test_a_policy_of_another_package_plays() -> None:
    from tratree_cli.agents.policy import Opening, Turn

    assert evaluate.node(config(), policy="first-action").key_params["policies"] == ["first-action"]
    policy = open_policy("first-action")
    policy.begin([Opening(0, seed=1)])

    def available() -> Sequence[str]:
        return ["left", "right"]

    policy.submit([Turn(0, "a fork", available)])
    assert [reply.text for reply in policy.collect()] == ["Action: left"]


@pytest.mark.usefixtures("plugin")
def test_the_documentation_is_generated_with_what_is_installed() -> None:
    spec = importlib.util.spec_from_file_location("docs_build", REPOSITORY / "docs" / "build.py")
    assert spec is not None and spec.loader is not None
    build = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build)
    page = build.methods()
    for name in ("rejection-sampling", "accepted-only", "best-against-worst", "first-action"):
        assert f"`{name}`" in page


def test_extending_shows_the_files_of_the_example_as_they_are() -> None:
    page = (REPOSITORY / "docs" / "extending.md").read_text("utf-8")
    example = REPOSITORY / "tests" / "plugins" / "example"
    for file in (*example.glob("*.py"), example / "pyproject.toml"):
        language = {".py": "python", ".toml": "toml"}[file.suffix]
        assert f"```{language}\n{file.read_text('utf-8')}```\n" in page, file.name


def test_an_engine_that_is_not_the_local_one_is_keyed() -> None:
    with pytest.raises(InputError, match="no engine is called 'expert'; there are local"):
        explore.node(config(explore={"backend": "expert"}))
    plain = explore.node(config()).key_params["engine"]
    assert "backend" not in plain and "versions" not in plain
    other = replace(explore.node(config()).params.engine, backend="another", versions={"x": 2})
    from tratree_cli.pipeline.parameters import key_document

    assert key_document(other) == {**plain, "backend": "another", "versions": {"x": 2}}


def test_a_model_is_no_backend_whatever_it_is_called() -> None:
    assert backend_of("local") is None
    assert backend_of("organisation/model") is None
    backend = backend_of("openai:http://x#m")
    assert isinstance(backend, PolicyBackend) and backend.name == "openai"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere:METHOD", "cannot be loaded: No module named 'nowhere'"),
        ("tratree_cli.methods.mcts:NOTHING", "cannot be loaded"),
        ("tratree_cli.methods.mcts:METHOD", "is no Method of that name"),
        ("tratree_cli.training.trainers:IMITATION", "is no Method of that name"),
    ],
)
def test_a_declaration_that_is_wrong_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    declare(tmp_path, "tratree.methods", "wrong", value)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=said):
        method("wrong")
    assert method("mcts").name == "mcts"


def test_two_packages_with_one_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(tmp_path, "tratree.methods", "mcts", "tratree_cli.methods.mcts:METHOD")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match="two packages declare the method 'mcts'"):
        method("mcts")


def test_a_method_that_contradicts_itself_is_refused() -> None:
    for fields in (
        {"learns_from": "pairs", "role": "strong", "init": "sft", "trainer": "preference"},
        {"policy": "expert", "role": "weak"},
        {"learns_from": "paths", "role": "strong"},
    ):
        with pytest.raises(ValueError, match="method x"):
            Method(name="x", title="x", summary="x", group="main", **fields)  # type: ignore[arg-type]


def test_a_registry_without_entry_points_says_what_to_do() -> None:
    empty: Registry[PairRule] = Registry("tratree.nothing", "thing", PairRule)
    with pytest.raises(InputError, match="install tratree again"):
        empty.get("x")


def declare(folder: Path, group: str, name: str, value: str) -> None:
    """Metadata of an installed package with one entry point."""
    metadata = folder / "another-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: another\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")


def test_a_table_of_settings_is_typed_as_the_command_line_reads_it() -> None:
    import shlex

    from tratree_cli.config import parse_assignment
    from tratree_cli.reporting.row_commands import _typed

    table = {"accepted-only": {"least_score": 0.3, "kind": "two words", "strict": True}}
    (typed,) = shlex.split(f"train.parameters={_typed(table)}")
    assert parse_assignment(typed) == {"train": {"parameters": table}}


@pytest.mark.usefixtures("plugin")
def test_the_code_of_a_plugin_is_recorded_with_what_it_made() -> None:
    from tratree_cli.pipeline.code_digest import reachable_files

    policy = method_graph.policy(config(), "rejection-sampling")
    assert isinstance(policy, Node)
    files = reachable_files(policy)
    assert len(files["plug-in rejection_sampling"]) == 16
    assert "training/lengths.py" in files and "stages/sft.py" not in files
    pairs = mine_pairs.node(config(), rule="best-against-worst")
    assert "plug-in best_against_worst" in reachable_files(pairs)
    assert "trees/pairs.py" in reachable_files(mine_pairs.node(config(), rule="tree"))
    played = reachable_files(evaluate.node(config(), policy="first-action"))
    assert "plug-in first_action" in played and "agents/local/policy.py" not in played
    assert "agents/local/policy.py" in reachable_files(explore.node(config()))

"""Training through the command line: what every flag reaches, and what bad input is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Folder
from tests.tiny_models import make_model
from tratree_cli.stages.training_inputs import base_identity


@pytest.fixture
def tratree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversations: Any, pair_documents: Any
) -> Any:
    """A folder with ``demos.jsonl`` and ``pairs.jsonl``."""
    folder = Folder(tmp_path, monkeypatch)
    folder.write("demos.jsonl", ({"messages": c} for c in conversations))
    folder.write("pairs.jsonl", pair_documents)
    return folder


@pytest.fixture
def words(policy: Path) -> tuple[str, ...]:
    return ("--model", str(policy), *QUICK)


def labels(tratree: Folder, *flags: str) -> list[str]:
    """What a training would do, from an empty store."""
    plan = tratree("train-strong", "-n", "--json", *flags)
    assert plan.code == 0, plan.err
    return [line["label"] for line in plan.lines]


def models(tratree: Folder) -> list[dict[str, Any]]:
    """The models in the store."""
    listed = tratree("store", "ls", "model", "--json")
    assert listed.code == 0, listed.err
    return listed.lines


# -- what a flag reaches ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("tree-dpo", ["trajectory trees", "tree pairs", "SFT strong model"]),
        ("mcts", ["trajectory trees", "MCTS paths", "SFT strong model"]),
        ("eto", ["exploration by the strong model", "eto pairs"]),
        ("ceiling", ["exploration by the strong model", "ceiling pairs", "demonstrations"]),
        ("unstructured-dpo", ["exploration", "unstructured pairs", "SFT weak model"]),
        ("best-observed", ["best observed paths"]),
        ("sft-more", ["demonstrations", "MCTS paths"]),
    ],
)
def test_every_method_pulls_what_it_is_made_of(
    tratree: Folder, method: str, needed: list[str]
) -> None:
    found = labels(tratree, "--method", method)
    assert set(needed) <= set(found)
    assert found[-1] == f"strong model, {method}"


@pytest.mark.parametrize("method", ["tree-dpo", "mcts", "unstructured-dpo", "best-observed"])
def test_the_strong_model_may_learn_from_its_own_explorations(tratree: Folder, method: str) -> None:
    own = labels(tratree, "--method", method, "--explorer", "strong", "--ref", "none")
    assert "exploration by the strong model" in own
    assert "exploration" not in own
    assert own == labels(
        tratree, "--method", method, "--set", "explore.explorer=strong", "--ref", "none"
    )


@pytest.mark.parametrize("method", ["tree-dpo", "mcts", "unstructured-dpo", "best-observed"])
def test_the_strong_model_may_learn_from_both_explorers(tratree: Folder, method: str) -> None:
    both = labels(tratree, "--method", method, "--explorer", "both")
    assert {"exploration by both models", "SFT weak model", "SFT strong model"} <= set(both)
    assert sum(name.startswith("exploration") for name in both) == 1


def test_where_training_starts_and_what_it_stays_near_can_be_chosen(tratree: Folder) -> None:
    base = labels(tratree, "--method", "mcts", "--init", "base")
    assert "SFT strong model" not in base
    assert "SFT strong model" in labels(tratree, "--method", "mcts", "--init", "sft")
    near = {
        name: [n for n in labels(tratree, "--init", "base", "--ref", name) if "SFT strong" in n]
        for name in ("weak", "strong-sft", "none")
    }
    assert near == {"weak": [], "strong-sft": ["SFT strong model"], "none": []}
    scored = [name for name in labels(tratree, "--ref", "none") if "reference scores" in name]
    assert scored == []


@pytest.mark.parametrize(
    ("method", "weak"),
    [("tree-dpo", True), ("unstructured-dpo", True), ("eto", False), ("ceiling", False)],
)
def test_the_reference_of_a_method_is_the_papers(tratree: Folder, method: str, weak: bool) -> None:
    """Eq. 6 keeps near the weak model, the baselines near the strong one they explored with."""
    flags = ("--method", method, "--explorer", "strong")
    found = labels(tratree, *flags)
    assert ("SFT weak model" in found) == weak
    other = labels(tratree, *flags, "--ref", "strong-sft" if weak else "weak")
    assert ("SFT weak model" in other) != weak


def test_what_is_scored_can_be_printed(tratree: Folder, conversations: Any) -> None:
    assert tratree("import", "pairs.jsonl", "--as", "pairs").code == 0
    shown = tratree("show", "pairs@latest", "--scored")
    assert shown.code == 0, shown.err
    end = "␃"
    lines = shown.out.splitlines()
    for start, side, words in ((0, "chosen", "red shirt"), (3, "rejected", "blue shoes")):
        assert lines[start].endswith(f" {side}")
        assert lines[start + 1] == f"Action: search[{words}]{end}"
        assert lines[start + 2] == f"Action: click[{words}]{end}"
    assert "Page 1" not in shown.out and "Instruction" not in shown.out
    assert tratree("import", "demos.jsonl", "--as", "demos").code == 0
    said = tratree("show", "demos@latest", "--scored").out.splitlines()
    assert [line for line in said if not line.startswith("# ")][:3] == [
        f"Action: search[red shirt]{end}", "Thought: b0.", f"Action: click[b0]{end}",
    ]  # fmt: skip


def test_pairs_and_paths_that_teach_nothing_leave_the_initial_model(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    """Section 3.3: when exploring showed no difference, nothing is learnt and nothing breaks."""
    made = tratree("sft", "--demos", "demos.jsonl", *words).out
    played = tratree("explore", "--policy", "expert", "--limit", "2", "-m", "2")
    tree = tratree("build-tree", played.out.strip())
    for stage in (("mine-pairs",), ("mcts", "--set", "mcts.min_score=1")):
        nothing = tratree(*stage, tree.out.strip())
        assert nothing.code == 0, nothing.err
        kept = tratree("train-strong", nothing.out.strip(), "--init", made.strip(), "--ref", "none")
        assert kept.code == 0, kept.err
        assert kept.out == made
        assert "the result is the initial model, unchanged" in kept.err
    base = tratree("train-strong", nothing.out.strip(), "--init", "base")
    base.refused("the base model alone is no result; use --init sft")


def test_pairs_that_the_initial_model_prefers_are_left_out_where_that_is_asked_for(
    tratree: Folder,
) -> None:
    asked = ("--set", "pairs.skip_preferred=true")
    plan = labels(tratree, "--method", "tree-dpo", *asked)
    assert plan[-4:] == [
        "reference scores of tree pairs",
        "tree pairs not preferred yet",
        "reference scores of tree pairs not preferred yet",
        "strong model, tree-dpo",
    ]
    assert plan == labels(
        tratree, "--method", "tree-dpo", "--set", "pairs.rules.tree.skip_preferred=true"
    )
    refused = tratree("train-strong", "-n", "--method", "tree-dpo", "--init", "base", *asked)
    refused.refused("a base model prefers nothing yet")


@pytest.mark.slow
def test_a_training_reads_only_the_pairs_that_its_initial_model_does_not_prefer(
    tratree: Folder, words: tuple[str, ...], pair_documents: Any
) -> None:
    start = tratree("sft", "--demos", "demos.jsonl", *words, "--name", "start")
    assert start.code == 0, start.err
    exchanged = [
        {**document, "chosen": document["rejected"], "rejected": document["chosen"]}
        for document in pair_documents[:3]
    ]
    tratree.write("mixed.jsonl", [*exchanged, *pair_documents[3:]])
    flags = ("train-strong", "--pairs", "mixed.jsonl", *QUICK, "--init", "start", "--ref", "start")
    every = tratree(*flags, "--json").json["summary"]
    left = tratree(*flags, "--set", "pairs.skip_preferred=true", "--json")
    assert left.code == 0, left.err
    (filtered,) = (
        line for line in tratree("store", "ls", "pairs", "--json").lines
        if line["stage"] == "skip-preferred"
    )  # fmt: skip
    expected = round(every["pairs"] * (1 - every["initial_preferred"]))
    assert filtered["summary"]["pairs"] == expected
    assert filtered["summary"]["preferred_already"] == every["pairs"] - expected
    assert 0 < expected < every["pairs"]
    assert left.json["summary"]["pairs"] == expected
    assert left.json["summary"]["initial_preferred"] == 0.0
    assert f"preferred already {every['pairs'] - expected}" in tratree("show", filtered["ref"]).out


@pytest.mark.slow
def test_models_of_the_store_may_start_and_be_the_reference(
    tratree: Folder, words: tuple[str, ...], weaker: Path
) -> None:
    strong = tratree("sft", "--demos", "demos.jsonl", *words, "--name", "start")
    weak = tratree("sft", "--demos", "demos.jsonl", "--model", str(weaker), *QUICK, "--name", "ref")
    assert (strong.code, weak.code) == (0, 0), strong.err
    flags = ("train-strong", "--pairs", "pairs.jsonl", *QUICK, "--json")
    by_flag = tratree(*flags, "--init", "start", "--ref", "ref")
    assert by_flag.code == 0, by_flag.err
    assert by_flag.json["inputs"]["init"] == [strong.out.strip().removeprefix("model:")]
    assert by_flag.json["summary"]["initial_margin"] != 0.0
    explicit = tratree(*flags, "--init", "start", "--ref", "ref", "--explicit-kl")
    assert explicit.code == 0, explicit.err
    assert "kl" in tratree("show", explicit.json["ref"]).out
    diverse = tratree("sft", "--demos", "demos.jsonl", *words, "--diverge-from", "start", "--json")
    assert diverse.code == 0, diverse.err
    setting = tratree(
        "sft", "--demos", "demos.jsonl", *words, "--set", "sft.diverge_from=start", "--json"
    )
    assert setting.json["ref"] == diverse.json["ref"]
    more = tratree("sft", "--demos", "demos.jsonl", *QUICK, "--model", strong.out.strip())
    assert more.code == 0, more.err
    named = ("--set", f"models.weak={strong.out.strip()}")
    same = tratree("sft", "--demos", "demos.jsonl", *QUICK, *named)
    assert same.out == more.out


def test_every_training_parameter_is_reached_by_set(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    settings = {
        "sft.packing": "true",
        "sft.attention": "eager",
        "sft.gradient_checkpointing": "true",
        "sft.save_dtype": "bfloat16",
        "sft.lora_r": "4",
        "sft.lora_targets": '["q_proj", "v_proj"]',
        "sft.lora_dropout": "0.1",
        "sft.lora_merge": "false",
        "sft.micro_batch": "2",
    }
    flags = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    made = tratree("sft", "--demos", "demos.jsonl", *words, *flags, "--json")
    assert made.code == 0, made.err
    folder = tratree.path / made.json["path"]
    used = json.loads((folder / "training.json").read_text())["parameters"]
    assert (used["batch_size"], used["accumulation"], used["packing"]) == (2, 2, True)
    assert (used["attention"], used["gradient_checkpointing"]) == ("eager", True)
    assert len(models(tratree)) == 1
    assert used["lora"] == {
        "r": 4, "alpha": 128, "targets": ["q_proj", "v_proj"], "dropout": 0.1, "merge": False,
    }  # fmt: skip
    losses = ("--set", "dpo.loss_type=ipo", "--set", "dpo.label_smoothing=0.1")
    nll = ("--set", "dpo.nll_weight=0.5", "--beta", "0.3")
    pairs = tratree("train-strong", "--pairs", "pairs.jsonl", *words, *losses, *nll, "--json")
    assert pairs.code == 0, pairs.err
    used = json.loads((tratree.path / pairs.json["path"] / "training.json").read_text())
    got = [used["parameters"][k] for k in ("loss_type", "label_smoothing", "nll_weight", "beta")]
    assert got == ["ipo", 0.1, 0.5, 0.3]
    wrong = tratree("train-strong", "--pairs", "pairs.jsonl", *words, "--set", "dpo.loss_type=ipoo")
    wrong.refused("'dpo.loss_type' must be one of", "'ipoo'", "did you mean 'ipo'")


def test_parameters_at_their_old_values_leave_the_key_as_it_was() -> None:
    from tratree_cli.config import Config
    from tratree_cli.pipeline.parameters import key_document

    config = Config()
    before = set(key_document(config.sft))
    assert not {"packing", "lora_merge", "checkpoint_every", "diverge_from"} & before
    assert not {"loss_type", "label_smoothing", "ref"} & set(key_document(config.dpo))
    changed = config.with_values({"sft": {"packing": True, "checkpoint_every": 0.5}}, "test")
    assert set(key_document(changed.sft)) - before == {"packing"}


@pytest.mark.slow
def test_an_adapter_names_the_folder_of_its_base_by_digest_and_without_a_path(
    tratree: Folder, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRATREE_CACHE", str(tratree.path / "cache"))
    base = tratree.path / "bases" / "small"
    shutil.copytree(policy, base)
    apart = ("--set", "sft.lora_r=4", "--set", "sft.lora_merge=false")
    sft = ("sft", "--demos", "demos.jsonl", "--model", str(base), *QUICK, *apart, "--json")
    made = tratree(*sft)
    assert made.code == 0, made.err
    folder = tratree.path / made.json["path"]
    assert json.loads((folder / "base.json").read_text())["name"] == "small"
    for file in folder.rglob("*"):
        assert not file.is_file() or str(tratree.path).encode() not in file.read_bytes(), file
    # From another folder of the same content it is the same object, and the newest place is known.
    other = tratree.path / "elsewhere" / "small"
    shutil.copytree(base, other)
    again = tratree(*(str(other) if word == str(base) else word for word in sft), "--force")
    assert again.json["object"] == made.json["object"]
    shutil.rmtree(base)
    on_top = ("train-strong", "--pairs", "pairs.jsonl", "--init", made.json["ref"], *QUICK)
    trained = tratree(*on_top, "--set", "sft.lora_r=0")
    assert trained.code == 0, trained.err
    # Where nobody has named the folder, the digest is told, and what makes it known.
    shutil.rmtree(tratree.path / "cache")
    base_identity.cache_clear()  # as in a process that has not seen the folder yet
    unknown = tratree(*on_top, "--set", "sft.lora_r=0", "--force")
    assert unknown.code != 0 and "name its folder once" in unknown.err
    assert tratree("sft", "--model", str(other), "--demos", "demos.jsonl", "--dry-run").code == 0
    assert tratree(*on_top, "--set", "sft.lora_r=0", "--force").code == 0


def test_adapters_stack_on_a_merged_model_and_the_engine_plays_them(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    import torch

    from tratree_cli.agents.local.model import load_model as load_to_play
    from tratree_cli.models.load import load_model

    lora = ("--set", "sft.lora_r=4", "--set", "sft.lora_alpha=8")
    apart = ("--set", "sft.lora_merge=false")
    merged = tratree("sft", "--demos", "demos.jsonl", *words, *lora).out.strip()
    flags = ("train-strong", "--pairs", "pairs.jsonl", "--init", merged, *QUICK, *lora, "--json")
    one, two = tratree(*flags), tratree(*flags, *apart)
    assert (one.code, two.code) == (0, 0), two.err
    adapter = tratree.path / two.json["path"]
    assert json.loads((adapter / "base.json").read_text()) == {"object": merged[6:]}
    assert not (adapter / "model.safetensors").exists()
    whole = load_model(tratree.path / one.json["path"]).state_dict()
    for loaded in (load_model(adapter), load_to_play(adapter)[0]):
        stacked = loaded.state_dict()
        assert all(torch.allclose(stacked[name], whole[name], atol=1e-5) for name in whole)
    # And another adapter on top of that one.
    third = tratree(*(two.json["ref"] if w == merged else w for w in flags), *apart)
    assert third.code == 0, third.err
    again = tratree(*flags, *apart, "--force")
    assert again.json["object"] == two.json["object"]
    shutil.rmtree(tratree.path / ".tratree" / "objects" / merged[6:8] / merged[8:])
    broken = tratree(
        "train-strong", "--pairs", "pairs.jsonl", "--init", two.json["ref"], "--beta", "1"
    )
    broken.refused("adapter of model:", "missing in its store")


def test_curves_are_drawn_by_show(tratree: Folder, words: tuple[str, ...]) -> None:
    made = tratree("train-strong", "--pairs", "pairs.jsonl", *words, "--set", "dpo.epochs=4")
    shown = tratree("show", made.out.strip())
    for curve in ("loss", "margin", "accuracy"):
        line = next(line for line in shown.out.splitlines() if line.startswith(f"{curve} "))
        assert any(mark in line for mark in "▁▂▃▄▅▆▇█"), line


def test_a_tracker_is_told_only_when_asked_and_changes_nothing(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    pytest.importorskip("tensorboard")
    alone = tratree("sft", "--demos", "demos.jsonl", *words)
    assert not (tratree.path / "tensorboard").exists()
    flags = ("--track", "tensorboard", "--force")
    watched = tratree("sft", "--demos", "demos.jsonl", *words, *flags)
    assert watched.out == alone.out, watched.err
    (run,) = (tratree.path / "tensorboard").iterdir()
    assert run.name.startswith("SFT weak model")
    assert list(run.rglob("events.out.*"))


# -- the recipes ------------------------------------------------------------------------------


def recipe_names() -> list[str]:
    from tratree_cli.config import recipes

    return recipes()


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_can_be_planned_without_a_connection(tratree: Folder, name: str) -> None:
    from tratree_cli.config import load_recipe

    config = load_recipe(name)
    plan = tratree("train-strong", "--recipe", name, "-n", "--json")
    if plan.code != 0:
        # Only an environment that is not installed keeps a recipe from being planned.
        assert config.env.name != "webshop", plan.err
        pytest.skip(plan.err)
    assert plan.lines[-1]["label"].startswith("strong model")
    assert all(line["state"] != "cached" for line in plan.lines)


def test_a_hub_model_is_unresolved_in_a_plan_and_refused_in_a_run(tratree: Folder) -> None:
    from tratree_cli.config import load_recipe
    from tratree_cli.stages import sft

    config = load_recipe("paper-qwen2.5")
    identity = sft.node(config, "weak").models["base"]
    assert identity == f"hub:{config.models.weak}@unresolved"
    name = "Qwen/Qwen2.5-0.5B-Instruct"
    said = f"'{name}' is not on this machine and the hub cannot be reached"
    tratree("sft", "--model", name, "--demos", "demos.jsonl").refused("--recipe small")
    real = ("--recipe", "small", "--demos", "demos.jsonl")
    tratree("sft", "--model", name, *real).refused(said)
    # Refused before anything was computed.
    assert models(tratree) == []
    pinned = f"{name}@{'0123456789' * 4}"
    assert tratree("sft", "--model", pinned, *real, "-n").code == 0


# -- bad input --------------------------------------------------------------------------------


def test_a_model_is_not_kept_away_from_itself(tratree: Folder, words: tuple[str, ...]) -> None:
    made = tratree("sft", "--demos", "demos.jsonl", *words).out.strip()
    again = tratree("sft", "--demos", "demos.jsonl", "--model", made, "--diverge-from", made)
    again.refused("is the model that is trained")


@pytest.mark.slow
def test_methods_that_compare_distributions_need_one_tokenizer(
    tratree: Folder, words: tuple[str, ...], tmp_path: Path
) -> None:
    other = make_model(tmp_path / "other", family="llama3", seed=5)
    made = tratree("sft", "--demos", "demos.jsonl", "--model", str(other), *QUICK)
    assert made.code == 0, made.err
    ref = made.out.strip()
    pairs = ("train-strong", "--pairs", "pairs.jsonl", *words, "--ref", ref)
    # Stored log-probabilities bridge tokenizers; whole distributions do not.
    assert tratree(*pairs).code == 0
    tratree(*pairs, "--explicit-kl").refused("has another tokenizer than the trained model")
    diverse = tratree("sft", "--demos", "demos.jsonl", *words, "--diverge-from", ref)
    diverse.refused("another tokenizer", "Eq. 5")


@pytest.mark.parametrize("policy_name", ["error", "drop", "keep-last-turns"])
def test_pairs_that_are_all_longer_than_the_context_are_an_error(
    tratree: Folder, words: tuple[str, ...], policy_name: str
) -> None:
    short = ("--set", "sft.max_length=12", "--set", f"sft.too_long={policy_name}")
    done = tratree("train-strong", "--pairs", "pairs.jsonl", *words, *short)
    said = "more than 12" if policy_name == "error" else "none of 8 pairs is left"
    done.refused(said)
    assert models(tratree) == []


def test_nothing_is_longer_than_the_model_can_read(
    tratree: Folder, words: tuple[str, ...], conversations: Any
) -> None:
    long = [conversations[0][0], {"role": "assistant", "content": "Action: look " * 300}]
    tratree.write("long.jsonl", [{"messages": c} for c in [long, *conversations]])
    flags = ("sft", "--demos", "long.jsonl", *words, "--set", "sft.max_length=4096")
    tratree(*flags, "--set", "sft.too_long=error").refused("conversation 1", "more than 512")
    dropped = tratree(*flags, "--set", "sft.too_long=drop")
    assert "1 of 13 conversations were too long and left out" in dropped.err


def test_a_model_folder_without_a_tokenizer_is_refused(
    tratree: Folder, policy: Path, tmp_path: Path
) -> None:
    shutil.copytree(policy, tmp_path / "mute")
    (tmp_path / "mute" / "tokenizer.json").unlink()
    tratree("sft", "--demos", "demos.jsonl", "--model", "mute").refused("has no tokenizer")


def test_an_adapter_whose_base_is_gone_is_refused(
    tratree: Folder, policy: Path, tmp_path: Path
) -> None:
    shutil.copytree(policy, tmp_path / "adapter")
    for name in ("model.safetensors", "config.json"):
        (tmp_path / "adapter" / name).unlink()
    (tmp_path / "adapter" / "adapter_config.json").write_text(
        '{"base_model_name_or_path": "./gone"}'
    )
    done = tratree("sft", "--demos", "demos.jsonl", "--model", "adapter")
    done.refused("is an adapter of './gone', which is missing here")


def test_a_gpu_that_is_not_there_is_not_silently_replaced(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = tratree("sft", "--demos", "demos.jsonl", *words, "--device", "cuda")
    done.refused("there is no device 'cuda' here; use --device cpu")


def test_wrong_worlds_and_trackers_are_refused_before_anything_runs(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    demos = ("sft", "--demos", "demos.jsonl", *words)
    tratree.write("two.yaml", ["num_processes: 2"])
    tratree(*demos, "--processes", "0").refused("--processes must be at least 1")
    tratree(*demos, "--launch", "gone.yaml").refused("gone.yaml cannot be read")
    tratree(*demos, "--launch", "two.yaml", "--processes", "2").refused("exclude each other")
    tratree(*demos, "--track", "wand").refused("did you mean 'wandb'")
    assert not (tratree.path / ".tratree" / "objects").exists()
    tratree(*demos, "--processes", "3").refused("batch_size 4 is not a multiple of 3 processes")


def test_a_loss_that_is_not_a_number_leaves_no_model_but_the_last_good_state(
    tratree: Folder, words: tuple[str, ...]
) -> None:
    flags = ("--lr", "1e10", "--set", "sft.warmup=3", "--set", "sft.scheduler=constant_with_warmup")
    steps = ("--set", "sft.epochs=3", "--set", "sft.checkpoint_every=1")
    done = tratree("sft", "--demos", "demos.jsonl", *words, *flags, *steps)
    done.refused("the loss became nan", "the last good state is kept in", "lower", code=1)
    assert models(tratree) == []
    kept = done.err.split("is kept in ")[-1].split(";")[0]
    assert (tratree.path / kept / "model.safetensors").is_file()

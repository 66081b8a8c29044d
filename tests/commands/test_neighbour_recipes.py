"""The recipes ``eto``, ``dmpo`` and ``ipr`` through the command line, planned and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Folder

RECIPES = {"eto": "eto-expert", "dmpo": "dmpo", "ipr": "ipr"}
TINY = (
    ("models.strong", "tratree-s"), ("env.prompt", "quick"), ("env.parameters.page_size", "4"),
    ("demos.limit", "12"), ("sft.epochs", "4"), ("sft.learning_rate", "1e-3"),
    ("sft.batch_size", "6"), ("sft.micro_batch", "0"), ("sft.max_length", "1024"),
    ("sft.too_long", "drop"), ("explore.limit", "12"), ("explore.max_new_tokens", "64"),
    ("explore.max_context", "1024"), ("dpo.epochs", "1"), ("dpo.batch_size", "6"),
)  # fmt: skip
"""What makes a recipe of a real model one of seconds: models and sizes, never losses or pairs."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return Folder(tmp_path, monkeypatch)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_recipe_is_planned_with_its_controls(folder: Folder, recipe: str) -> None:
    plan = folder("run", "-n", "--json", "--recipe", recipe)
    assert plan.code == 0, plan.err
    labels = {line["label"] for line in plan.lines}
    name = RECIPES[recipe]
    pairs = "ipr pairs" if recipe == "ipr" else "eto-expert pairs"
    trained = (name, "eto-expert", f"{name}/nll-only", f"{name}/sft-more")
    wanted = {"SFT strong model", "exploration by the strong model", pairs}
    assert wanted | {f"strong model, {one}" for one in trained} <= labels
    assert sum(label.startswith("evaluation of") for label in labels) >= 4


def test_a_discount_of_turns_on_pairs_of_one_turn_is_refused(folder: Folder, policy: Path) -> None:
    say = {side: [{"role": "assistant", "content": f"Action: {side}"}] for side in ("a", "b")}
    prompt = [{"role": "user", "content": "Find a shirt."}]
    folder.write("one.jsonl", [{"prompt": prompt, "chosen": say["a"], "rejected": say["b"]}])
    words = ("--pairs", "one.jsonl", "--model", str(policy), "--turn-discount", "0.7", *QUICK)
    folder("train-strong", *words).refused("the agent has one turn")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_published_recipe_runs_on_the_tiny_models(folder: Folder, recipe: str) -> None:
    sizes = [word for name, value in TINY for word in ("--set", f"{name}={value}")]
    done = folder("train-strong", "--recipe", recipe, "--method", RECIPES[recipe], *sizes)
    assert done.code == 0, done.err
    shown = folder("store", "show", "model@latest", "--json")
    document = shown.json
    dpo = document["document"]["params"]["dpo"]
    assert dpo["scheduler"] == "constant_with_warmup"
    assert dpo.get("turn_discount", 0.0) == (0.7 if recipe == "dmpo" else 0.0)
    assert dpo.get("nll_per", "token") == ("pair" if recipe == "ipr" else "token")

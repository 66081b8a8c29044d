"""A recipe of the embedded models and a real model together are refused with the line to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from tratree_cli.commands.recipe_fit import TINY_BYTES, require_fitting_recipe
from tratree_cli.config import Config, load_recipe
from tratree_cli.errors import InputError


def with_weak(name: str, recipe: str = "quick") -> Config:
    return load_recipe(recipe).with_values({"models": {"weak": name}}, "--set")


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("Qwen/Qwen2.5-0.5B-Instruct", "small"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", "small"),
        ("Qwen/Qwen2.5-7B-Instruct@main", "large"),
        ("meta-llama/Llama-2-13b-chat-hf", "large"),
    ],
)
def test_the_line_to_type_is_the_same_line_with_the_recipe_of_its_size(
    model: str, recipe: str
) -> None:
    words = ["sft", "--recipe", "quick", "--set", f"models.weak={model}"]
    with pytest.raises(InputError) as caught:
        require_fitting_recipe(with_weak(model), words)
    said = str(caught.value)
    assert said.endswith(f"type: tratree sft --set models.weak={model} --recipe {recipe}")
    assert "learning rate 0.001, prompt 'quick'" in said


def test_a_folder_is_judged_by_the_size_of_its_weights(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"x")
    require_fitting_recipe(with_weak(str(tmp_path)), ["sft"])
    with weights.open("wb") as file:
        file.truncate(TINY_BYTES + 1)
    with pytest.raises(InputError, match="--recipe small"):
        require_fitting_recipe(with_weak(str(tmp_path)), ["sft"])


@pytest.mark.parametrize("recipe", ["small", "large", "paper-qwen2.5"])
def test_recipes_of_real_models_take_any_model(recipe: str) -> None:
    require_fitting_recipe(with_weak("Qwen/Qwen2.5-0.5B-Instruct", recipe), ["sft"])


def test_a_recipe_of_ones_own_with_real_models_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[models]\nweak = "some/model-1B"\nstrong = "some/model-1B"\n')
    require_fitting_recipe(with_weak("some/other-1B", str(file)), ["sft"])


def test_the_recipes_of_real_models_give_instructions_and_cut_nothing_silently() -> None:
    for name in ("small", "large"):
        config = load_recipe(name)
        assert config.env.prompt == "eto-example"
        assert config.sft.lora_r == 64
        assert config.sft.too_long == "keep-last-turns"
        assert config.explore.max_context == config.sft.max_length


def test_every_value_of_these_recipes_has_a_source() -> None:
    """In a comment behind it, except for what only names a thing."""
    folder = Path(__file__).parents[2] / "templates" / "recipes"
    for name in ("small", "large"):
        for line in (folder / f"{name}.toml").read_text().splitlines():
            section = line.startswith(("[", "#", "  ", "]")) or not line.strip()
            named = line.startswith(
                ("name", "data", "weak", "strong", "merge", "methods", "too_long", "max_new")
            )
            assert section or named or "# " in line, line

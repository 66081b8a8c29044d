"""The shipped base models: small, loadable, and competent enough to build on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tratree_cli.models.embedded import SHAPES
from tratree_cli.pretraining.competence import competence
from tratree_cli.resources import templates_dir

MODELS = templates_dir() / "models"
SHIPPED = [name for name in SHAPES if (MODELS / name).is_dir()]
FLOORS = {
    "shop": {
        "copy": 0.95,
        "which-item": 0.9,
        "option-here": 0.9,
        "admissible": 0.5,
        "fits": 0.9,
        "options-wanted": 0.85,
    },
    "rooms": {
        "copy": 0.9,
        "follow": 0.4,
        "here": 0.45,
        "passing": 0.75,
        "where": 0.15,
        "wish": 0.85,
        "errand": 0.9,
        "admissible": 0.65,
    },
}
"""Under the card's figures, which are of more cases; what is built again must reach them too."""


def load(folder: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def test_the_family_is_shipped_and_small():
    assert set(SHIPPED) == set(SHAPES)
    size = sum(file.stat().st_size for file in MODELS.rglob("*.safetensors"))
    assert size <= 12_000_000


@pytest.mark.parametrize("name", SHIPPED)
def test_members_of_a_corpus_share_tokenizer_and_template(name: str):
    first = "tratree-s" if SHAPES[name].text == "shop" else "tratree-rooms-s"
    for file in ("tokenizer.json", "chat_template.jinja"):
        assert (MODELS / name / file).read_bytes() == (MODELS / first / file).read_bytes()
    template = (templates_dir() / "chat" / "tratree.jinja").read_bytes()
    assert (MODELS / name / "chat_template.jinja").read_bytes() == template


@pytest.mark.parametrize("name", SHIPPED)
def test_shapes_are_those_of_the_program(name: str):
    config = json.loads((MODELS / name / "config.json").read_text())
    shape = SHAPES[name]
    assert (config["hidden_size"], config["num_hidden_layers"]) == (shape.width, shape.layers)


@pytest.mark.parametrize("family", ["tratree", "tratree-rooms"])
def test_the_weak_one_is_genuinely_smaller(family: str):
    small, medium = (load(MODELS / name)[0] for name in (f"{family}-s", f"{family}-m"))
    assert small.num_parameters() < 0.7 * medium.num_parameters()


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_can_do_what_its_card_says(name: str):
    model, tokenizer = load(MODELS / name)
    text = SHAPES[name].text
    able = competence(model.float(), tokenizer, text, cases=40, seed=4)
    for ability, floor in FLOORS[text].items():
        assert able[ability] >= floor, (ability, able)

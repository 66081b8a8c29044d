"""A model that nobody knows how to speak to is refused when a training is planned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.models.chat_templates import FAMILIES
from tratree_cli.models.template_files import SIGNS, require_chat_template
from tratree_cli.stages import sft


@pytest.fixture
def untuned(policy: Path, tmp_path: Path) -> Path:
    """The policy without its template and without the marks of a format."""
    folder = Path(shutil.copytree(policy, tmp_path / "untuned"))
    (folder / "chat_template.jinja").unlink()
    tokenizer = folder / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<|im_start|>", "<|x|>"))
    return folder


def test_a_model_without_a_template_is_refused_in_the_plan(untuned: Path) -> None:
    config = Config().with_values({"models": {"weak": str(untuned)}}, "--set")
    with pytest.raises(InputError, match="has no chat template"):
        sft.node(config, "weak")


def test_a_template_in_either_file_or_a_known_format_is_enough(policy: Path, untuned: Path) -> None:
    require_chat_template("it", policy)
    settings = untuned / "tokenizer_config.json"
    settings.write_text(json.dumps({"chat_template": "{{ messages }}"}))
    require_chat_template("it", untuned)
    settings.write_text("{}")
    tokenizer = untuned / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace("<|x|>", "<|im_start|>"))
    require_chat_template("it", untuned)


def test_the_signs_of_a_format_are_those_of_the_shipped_templates() -> None:
    assert set(SIGNS) == set(FAMILIES.values())

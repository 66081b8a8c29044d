"""Arguments of a base model's chat template: what is trained and what is played with them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, Folder
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_tokenizer, read_tokenizer
from tratree_cli.models.masks import encode_conversation
from tratree_cli.models.template_arguments import with_arguments
from tratree_cli.stages import evaluate, sft
from tratree_cli.stages.training_inputs import base_identity

READS = "{%- if tone is defined -%}{{ tone.word }} {{ tone.number }}{%- endif -%}\n"
TONE = {"word": 'so "calm" 😀\n%}', "number": None}
SET = ("--set", "models.strong_chat_template_kwargs.tone.word=calm")
TURNS = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": "Action: go"}]


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, conversations: Any) -> Folder:
    folder = Folder(tmp_path, monkeypatch)
    folder.write("demos.jsonl", ({"messages": c} for c in conversations))
    return folder


@pytest.fixture
def base(policy: Path, tmp_path: Path) -> Path:
    """A model whose template reads ``tone``, with positions for whole episodes."""
    folder = Path(shutil.copytree(policy, tmp_path / "base"))
    template = folder / "chat_template.jinja"
    template.write_text(READS + template.read_text(encoding="utf-8"), encoding="utf-8")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return folder


def shown(tokenizer: Any, **arguments: Any) -> str:
    text: str = tokenizer.apply_chat_template(TURNS, tokenize=False, **arguments)
    return text


def test_arguments_in_the_template_render_what_arguments_of_the_call_render(base: Path) -> None:
    tokenizer = read_tokenizer(base)
    plain, called = shown(tokenizer), shown(tokenizer, tone=TONE)
    tokenizer.chat_template = with_arguments(tokenizer.chat_template, {"tone": TONE}, "here")
    assert shown(tokenizer) == called != plain


def test_rows_and_masks_are_those_of_the_template_with_its_arguments(base: Path) -> None:
    plain = encode_conversation(load_tokenizer(base), TURNS)
    toned = encode_conversation(load_tokenizer(base, {"tone": TONE}), TURNS)
    assert len(toned.input_ids) > len(plain.input_ids)
    assert toned.scored == plain.scored


def test_the_local_engine_opens_a_conversation_as_the_template_with_its_arguments(
    base: Path,
) -> None:
    policy = LocalPolicy(base, device="cpu", chat_template_kwargs={"tone": TONE})
    ids = policy.chat.whole(TURNS[:1])
    policy.close()
    expected = read_tokenizer(base).apply_chat_template(
        TURNS[:1], add_generation_prompt=True, return_dict=False, tone=TONE
    )
    assert ids == list(expected)


def test_arguments_are_keyed_for_their_model_alone_and_only_where_they_are_set(base: Path) -> None:
    plain = Config().with_values({"models": {"weak": str(base), "strong": str(base)}}, "--set")
    set_ = plain.with_values({"models": {"strong_chat_template_kwargs": {"tone": TONE}}}, "--set")
    assert sft.node(set_, "weak").key == sft.node(plain, "weak").key
    assert sft.node(set_, "strong").key != sft.node(plain, "strong").key
    assert "?" not in sft.node(plain, "strong").models["base"]


def test_what_is_trained_keeps_the_arguments_in_its_template(tratree: Folder, base: Path) -> None:
    words = ("sft", "--demos", "demos.jsonl", "--role", "strong", "--model", str(base), *QUICK)
    made = tratree(*words, *SET, "--json")
    assert made.code == 0, made.err
    stored = read_tokenizer(Path(made.json["path"]))
    assert shown(stored) == shown(read_tokenizer(base), tone={"word": "calm"})
    assert shown(load_tokenizer(made.json["path"])) == shown(stored)


def test_training_from_the_base_on_scored_pairs_uses_and_keeps_them(
    tratree: Folder, base: Path, pair_documents: Any
) -> None:
    tratree.write("pairs.jsonl", pair_documents)
    sft_words = ("sft", "--demos", "demos.jsonl", "--role", "strong", "--model", str(base), *QUICK)
    reference = tratree(*sft_words, *SET).out.strip()
    words = ("train-strong", "--pairs", "pairs.jsonl", "--model", str(base), "--init", "base")
    made = tratree(*words, "--ref", reference, *QUICK, *SET, "--json")
    assert made.code == 0, made.err
    stored = read_tokenizer(Path(made.json["path"]))
    assert shown(stored) == shown(read_tokenizer(base), tone={"word": "calm"})


def test_a_base_model_that_is_weak_and_strong_with_other_arguments_each_is_refused(
    base: Path,
) -> None:
    kwargs = {"strong_chat_template_kwargs": {"tone": 1}, "weak_chat_template_kwargs": {"tone": 2}}
    models = {"weak": str(base), "strong": str(base), **kwargs}
    config = Config().with_values({"models": models}, "--set")
    with pytest.raises(InputError, match="other chat_template_kwargs each"):
        evaluate.node(config, policy=f"base:{base_identity(str(base))}")


def test_a_base_model_is_played_with_its_arguments_and_keyed_by_them(
    tratree: Folder, base: Path
) -> None:
    words = ("explore", str(base), "--limit", "1", "-m", "1", "--set", f"models.strong={base}")
    words += ("--set", "explore.max_new_tokens=2", "--json")
    plain, toned = tratree(*words), tratree(*words, *SET)
    assert plain.code == toned.code == 0, plain.err + toned.err
    assert plain.json["recipe"] != toned.json["recipe"]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("enable_thinking=false", "the chat template never reads 'enable_thinking'"),
        ("messages=1", "'messages' is given to every template"),
        ("add_generation_prompt=true", "'add_generation_prompt' is given to every template"),
        ("tone=nan", "'tone' has a value that JSON cannot hold"),
    ],
)
def test_arguments_that_cannot_be_set_are_refused_in_the_plan(
    tratree: Folder, base: Path, setting: str, said: str
) -> None:
    words = ("sft", "--demos", "demos.jsonl", "--role", "strong", "--model", str(base), "-n")
    refused = tratree(*words, "--set", f"models.strong_chat_template_kwargs.{setting}")
    assert refused.code == 2
    assert said in refused.err


def test_a_chain_takes_no_arguments_of_templates(tratree: Folder, base: Path) -> None:
    words = ("run", "--chain", f"tratree-s,{base}", "--methods", "tree-dpo", "-n")
    refused = tratree(*words, *SET)
    assert refused.code == 2
    assert "strong_chat_template_kwargs is about one model" in refused.err

"""Models whose published chat template does not say where the agent speaks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import CONVERSATION, digests, make_tokenizer
from tratree_cli.errors import InputError
from tratree_cli.models.load import load_tokenizer
from tratree_cli.models.masks import encode_conversation, scored_texts
from tratree_cli.training.data import sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import SFTParams

LLAMA_2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}{{ bos_token + '[INST] ' + m['content'] "
    "+ ' [/INST]' }}{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)


def published(name: str) -> str:
    """A template as it lies on the hub; TRL ships copies to recognise them by."""
    import trl

    return (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def saved(folder: Path, family: str, template: str | None) -> Path:
    tokenizer = make_tokenizer(family)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("family", "name"), [("qwen2.5", "qwen2_5"), ("llama3", "llama3")], ids=["qwen2.5", "llama3"]
)
def test_a_published_template_is_kept_to_the_letter_with_markers_put_in(
    tmp_path: Path, family: str, name: str
) -> None:
    folder = saved(tmp_path / "model", family, published(name))
    tokenizer, plain = load_tokenizer(folder), make_tokenizer(family)
    plain.chat_template = published(name)
    assert tokenizer.template_note == ""
    for asked in (True, False):
        ours, theirs = (
            t.apply_chat_template(CONVERSATION, tokenize=False, add_generation_prompt=asked)
            for t in (tokenizer, plain)
        )
        assert ours == theirs
    said = scored_texts(tokenizer, encode_conversation(tokenizer, CONVERSATION))
    assert [text.strip() for text in said] == [
        m["content"] + str(plain.eos_token) for m in CONVERSATION if m["role"] == "assistant"
    ]


@pytest.mark.parametrize("template", [LLAMA_2, None], ids=["without markers", "none"])
def test_a_known_format_gets_the_shipped_template_and_says_so(
    tmp_path: Path, template: str | None
) -> None:
    family = "llama2" if template else "qwen2.5"
    tokenizer = load_tokenizer(saved(tmp_path / "model", family, template))
    assert f"templates/chat/{family}.jinja" in tokenizer.template_note
    assert encode_conversation(tokenizer, CONVERSATION).scored > 0


def test_an_unknown_format_is_refused_when_it_is_to_be_encoded(tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% endfor %}"
    tokenizer = load_tokenizer(saved(tmp_path / "model", "llama2", template))
    with pytest.raises(InputError, match="markers, so the agent"):
        encode_conversation(tokenizer, CONVERSATION)


def test_the_template_that_was_trained_with_is_stored_with_the_model(
    policy: Path, conversations: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(policy, folder)
    saved(folder, "qwen2.5", published("qwen2_5"))
    rows = sft_rows(load_tokenizer(folder), conversations)[0]
    once, twice = tmp_path / "once", tmp_path / "twice"
    for base, out in ((folder, once), (once, twice)):
        train_sft(base, rows, SFTParams(max_steps=1), out, tmp_path / f"work-{out.name}")
    assert "{%- generation" in (once / "chat_template.jinja").read_text().replace("{% ", "{%- ")
    assert digests(once)["chat_template.jinja"] == digests(twice)["chat_template.jinja"]
    from transformers import AutoTokenizer

    # Whoever plays it, without tratree too, renders what was trained.
    plain = AutoTokenizer.from_pretrained(once)
    assert plain.chat_template == load_tokenizer(folder).chat_template

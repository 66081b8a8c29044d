"""The family's tokenizer and chat template."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratree_cli.pretraining.corpora import corpus_of
from tratree_cli.pretraining.corpus import Corpus
from tratree_cli.pretraining.packing import encode, pack
from tratree_cli.pretraining.tokenizer import (
    AGENT,
    END,
    USER,
    build_tokenizer,
)
from tratree_cli.resources import templates_dir

MEMBERS = {"shop": "tratree-s", "rooms": "tratree-rooms-s"}


@pytest.fixture(scope="module", params=MEMBERS)
def corpus(request) -> Corpus:
    return corpus_of(request.param)


@pytest.fixture(scope="module")
def tokenizer(corpus: Corpus):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(templates_dir() / "models" / MEMBERS[corpus.name])


def test_the_shipped_tokenizer_is_the_one_that_the_program_builds(corpus: Corpus, tmp_path):
    build_tokenizer(corpus.name).save_pretrained(tmp_path)
    shipped = templates_dir() / "models" / MEMBERS[corpus.name] / "tokenizer.json"
    assert (tmp_path / "tokenizer.json").read_bytes() == shipped.read_bytes()


def conversation(*contents: str) -> list[dict[str, str]]:
    roles = ("user", "assistant")
    return [{"role": roles[i % 2], "content": text} for i, text in enumerate(contents)]


@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_nothing_is_unknown_and_decoding_gives_the_text_back(tokenizer, text):
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text.encode("utf-8", "replace").decode()


def test_page_furniture_is_one_token_each(tokenizer, corpus: Corpus):
    for text in corpus.furniture:
        assert len(tokenizer(text)["input_ids"]) == 1


PAGES = {
    "shop": (
        "Observation:\nInstruction: [SEP] find me a quilted wool coat in red, and price lower than "
        "40.00 dollars [SEP] Back to Search [SEP] Page 1 (Total results: 20) [SEP] Next > [SEP] "
        "B0KAFEMI [SEP] quilted wool coat [SEP] $25.0 [SEP] B0RUTOZA [SEP] padded wool coat [SEP] "
        "$31.0"
    ),
    "rooms": (
        "coffeemachine 1, countertop 1, drawer 1, fridge 1, safe 1, sinkbasin 1\nTask: clean some "
        "plate and put it in countertop.\nObservation: You teleport to the kitchen.\nAction: take "
        "plate 1 from countertop 1"
    ),
}


def test_a_whole_page_is_short(tokenizer, corpus: Corpus):
    assert len(tokenizer(PAGES[corpus.name])["input_ids"]) < 50


def test_the_mask_covers_exactly_what_the_agent_says_and_its_end(tokenizer):
    said = ("Thought: search\nAction: search[wool coat]", "Thought: done\nAction: click[Buy Now]")
    messages = conversation("WebShop", said[0], "Observation:\nInstruction:", said[1])
    encoded = tokenizer.apply_chat_template(
        messages, return_dict=True, return_assistant_tokens_mask=True
    )
    pairs = zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
    agents = tokenizer.decode([token for token, mine in pairs if mine])
    assert agents == said[0] + END + said[1] + END


def test_a_generation_prompt_is_the_beginning_of_the_agents_turn(tokenizer):
    messages = conversation("page", "Action: search[x]")
    prompt = tokenizer.apply_chat_template(
        messages[:1], add_generation_prompt=True, return_dict=False
    )
    whole = tokenizer.apply_chat_template(messages, return_dict=False)
    assert whole[: len(prompt)] == prompt
    assert tokenizer.decode(prompt) == f"{USER}page{AGENT}"


@pytest.mark.parametrize("forged", [END, USER, AGENT, "<|end|>", "<|im_end|>", "[SEP]", "</s>"])
def test_no_content_can_forge_a_turn(tokenizer, forged):
    honest = tokenizer.apply_chat_template(conversation("a page", "b"), return_dict=False)
    messages = conversation(f"a {forged} page {forged}", f"b {forged}")
    encoded = tokenizer.apply_chat_template(messages, return_dict=False)
    special = set(tokenizer.all_special_ids)
    assert [t for t in encoded if t in special] == [t for t in honest if t in special]


def test_text_that_looks_like_a_marker_elsewhere_is_kept_byte_for_byte(tokenizer):
    encoded = tokenizer.apply_chat_template(conversation("a <|end|> b", "c"), return_dict=False)
    assert "a <|end|> b" in tokenizer.decode(encoded)


def test_rows_hold_the_tokens_of_the_chat_template(tokenizer, corpus: Corpus):
    documents = corpus.block(3, 0, corpus.mixture_at(0.5), 20)
    encoded = encode(documents, tokenizer, limit=10_000)
    for document, one in zip(documents, encoded, strict=True):
        messages = conversation(*(text for turn in document.turns for text in turn))
        chat = tokenizer.apply_chat_template(
            messages, return_dict=True, return_assistant_tokens_mask=True
        )
        assert one.tokens == chat["input_ids"]
        assert one.agent_mask == [bool(mine) for mine in chat["assistant_masks"]]


def test_packed_documents_do_not_see_each_other(tokenizer, corpus: Corpus):
    documents = corpus.block(3, 0, corpus.mixture_at(0.5), 30)
    encoded = encode(documents, tokenizer, corpus.row)
    rows = pack(encoded, tokenizer.pad_token_id, corpus.row)
    mask = rows.attention()[:, 0]
    document = rows.document
    visible = mask == 0
    assert bool((document[:, :, None] == document[:, None, :])[visible].all())
    assert not bool(visible.triu(1).any())
    assert float((document == 0).float().mean()) < 0.1

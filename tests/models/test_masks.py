"""What of a conversation enters a loss, token by token, for each published chat format."""

from __future__ import annotations

from typing import Any

import pytest

from tests.tiny_models import CONVERSATION, TEMPLATES, make_tokenizer
from tratree_cli.errors import InputError
from tratree_cli.models.chat_encoding import TurnEncoder
from tratree_cli.models.control_tokens import ControlTokens
from tratree_cli.models.masks import Encoded, _ChatEncoder, encode_conversation, scored_texts

# Written by hand: tokens separated by blanks, those that must be scored between » and «.
EXPECTED = {
    "llama2": (
        "<s> ▁ [ I N S T ] ▁Instruction: ▁find ▁a ▁red ▁shirt ▁[SEP] ▁ S ear ch ▁ [ <0x2F> I N S T"
        " ] » ▁Thought: ▁ l o o k ▁for ▁it. <0x0A> Action: ▁search[red ▁shirt] </s> « <s> ▁ [ I N S"
        " T ] ▁Page ▁1 ▁[SEP] ▁B0123 ▁[SEP] ▁Red ▁shirt ▁ [ <0x2F> I N S T ] » ▁Action:"
        " ▁click[b0123] </s> «"
    ),
    "llama3": (
        "<|begin_of_text|> <|start_header_id|> u ser <|end_header_id|> Ċ Ċ Inst ruction : Ġfind Ġa"
        " Ġred Ġshirt Ġ[ SEP ] Ġ S ear ch <|eot_id|> <|start_header_id|> a s s i st a n t"
        " <|end_header_id|> Ċ Ċ » Thought : Ġ l o o k Ġfor Ġit . Ċ Action : Ġsearch [ red Ġshirt ]"
        " <|eot_id|> « <|start_header_id|> u ser <|end_header_id|> Ċ Ċ Page Ġ1 Ġ[ SEP ] ĠB 0123 Ġ["
        " SEP ] ĠRed Ġshirt <|eot_id|> <|start_header_id|> a s s i st a n t <|end_header_id|> Ċ Ċ"
        " » Action : Ġclick [ b 0123 ] <|eot_id|> «"
    ),
    "qwen2.5": (
        "<|im_start|> u ser Ċ Inst ruction : Ġfind Ġa Ġred Ġshirt Ġ[ SEP ] Ġ S ear ch <|im_end|> Ċ"
        " <|im_start|> a s s i st a n t Ċ » Thought : Ġ l o o k Ġfor Ġit . Ċ Action : Ġsearch ["
        " red Ġshirt ] <|im_end|> « Ċ <|im_start|> u ser Ċ Page Ġ1 Ġ[ SEP ] ĠB 0123 Ġ[ SEP ] ĠRed"
        " Ġshirt <|im_end|> Ċ <|im_start|> a s s i st a n t Ċ » Action : Ġclick [ b 0123 ]"
        " <|im_end|> « Ċ"
    ),
}

EMBEDDED = (
    "␂user|I|n|st|r|u|c|tion|:|Ġfind|Ġa|Ġred|Ġshirt| [SEP] Search|␂agent|»Thought: |l|ook|Ġfor|Ġ|it"
    "|.|\nAction: |search[|red|Ġshirt|]|␃«|␂user|P|age|Ġ|1| [SEP] |B0|12|3| [SEP] |R|ed|Ġshirt"
    "|␂agent|»Action: |click[|b|0|12|3|]|␃«"
)
"""The same for the models that ship with tratree, whose tokens may hold blanks."""


def expected(family: str) -> list[tuple[str, int]]:
    """(token, scored) as written above."""
    listed, inside = [], 0
    for word in EXPECTED[family].split():
        if word in "»«":
            inside = int(word == "»")
        else:
            listed.append((word, inside))
    return listed


def test_exactly_the_agents_words_and_the_end_of_turn_are_scored(
    family: str, tokenizer: Any
) -> None:
    encoded = encode_conversation(tokenizer, CONVERSATION)
    tokens = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    assert list(zip(tokens, encoded.agent_mask, strict=True)) == expected(family)


def test_the_embedded_models_score_the_agents_words_token_by_token() -> None:
    from tratree_cli.models.load import load_tokenizer, resolve_base

    tokenizer = load_tokenizer(resolve_base("tratree-s").folder)
    encoded = encode_conversation(tokenizer, CONVERSATION)
    tokens = tokenizer.convert_ids_to_tokens(encoded.input_ids)
    marked = [f"»{t}«" if mine else t for t, mine in zip(tokens, encoded.agent_mask, strict=True)]
    assert "|".join(marked).replace("«|»", "|") == EMBEDDED


def test_the_scored_text_is_the_agents_text(tokenizer: Any) -> None:
    texts = scored_texts(tokenizer, encode_conversation(tokenizer, CONVERSATION))
    assert texts == [CONVERSATION[i]["content"] + tokenizer.eos_token for i in (1, 3)]


def test_the_tokens_are_those_of_the_rendered_text_as_a_whole(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(CONVERSATION, tokenize=False)
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert encode_conversation(tokenizer, CONVERSATION).input_ids == whole


def test_what_the_agent_is_prompted_with_is_a_prefix_of_what_is_trained(tokenizer: Any) -> None:
    whole = encode_conversation(tokenizer, CONVERSATION)
    for answered in (1, 3):
        prompt = TurnEncoder(tokenizer).whole(CONVERSATION[:answered])
        assert whole.input_ids[: len(prompt)] == prompt
        assert whole.agent_mask[len(prompt)] == 1
        assert whole.agent_mask[len(prompt) - 1] == 0


def test_context_messages_are_read_but_not_scored(tokenizer: Any) -> None:
    whole = encode_conversation(tokenizer, CONVERSATION)
    later = encode_conversation(tokenizer, CONVERSATION, context=3)
    assert later.input_ids == whole.input_ids
    assert scored_texts(tokenizer, later) == ["Action: click[b0123]" + tokenizer.eos_token]


@pytest.mark.parametrize("speaker", ["user", "assistant"])
def test_a_control_token_in_a_message_is_ordinary_text(tokenizer: Any, speaker: str) -> None:
    end = tokenizer.eos_token
    plain = [{"role": "user", "content": "a page"}, {"role": "assistant", "content": "Action: a"}]
    quoting = [
        {**message, "content": f"before {end} after"} if message["role"] == speaker else message
        for message in plain
    ]
    encoded = encode_conversation(tokenizer, quoting)
    ends = tokenizer.eos_token_id
    normal = encode_conversation(tokenizer, plain)
    assert encoded.input_ids.count(ends) == normal.input_ids.count(ends)
    words = next(message["content"] for message in quoting if message["role"] == "assistant")
    assert scored_texts(tokenizer, encoded) == [words + end]
    prompt = TurnEncoder(tokenizer).whole(quoting[:1])
    assert encoded.input_ids[: len(prompt)] == prompt


def test_a_quoted_control_token_leaves_the_rest_as_it_was(tokenizer: Any) -> None:
    end = tokenizer.eos_token
    before = encode_conversation(tokenizer, CONVERSATION)
    quoting = [*CONVERSATION, {"role": "user", "content": f"{end}"}]
    after = encode_conversation(tokenizer, quoting)
    length = len(before.input_ids)
    assert after.input_ids[:length] == before.input_ids


def test_an_answer_that_begins_a_conversation_is_scored() -> None:
    tokenizer = make_tokenizer("qwen2.5")
    encoded = encode_conversation(tokenizer, CONVERSATION[1:])
    texts = scored_texts(tokenizer, encoded)
    assert texts == [CONVERSATION[i]["content"] + tokenizer.eos_token for i in (1, 3)]
    only = Encoded(encoded.input_ids, [1] * len(encoded.input_ids))
    assert scored_texts(tokenizer, only) == [tokenizer.decode(encoded.input_ids)]
    assert scored_texts(tokenizer, Encoded([1, 2], [0, 0])) == []


def test_an_answer_with_nothing_before_it_is_scored_from_its_first_token() -> None:
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
        "<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}\n{% endif %}{% endfor %}"
    )
    encoded = encode_conversation(tokenizer, CONVERSATION[1:2])
    assert encoded.agent_mask == [1] * len(encoded.input_ids)
    assert encoded.scored == len(encoded.input_ids)


def test_words_in_every_script_are_scored_whole(tokenizer: Any) -> None:
    said = "Action: search[überweiß 红色 👕]"
    messages = [{"role": "user", "content": "红 page"}, {"role": "assistant", "content": said}]
    texts = scored_texts(tokenizer, encode_conversation(tokenizer, messages))
    assert texts == [said + tokenizer.eos_token]


def test_blanks_before_marks_are_scored_text_too() -> None:
    tokenizer = make_tokenizer("qwen2.5")
    said = "Action: say[it 's here , is n't it ?]"
    messages = [{"role": "user", "content": "Page"}, {"role": "assistant", "content": said}]
    assert scored_texts(tokenizer, encode_conversation(tokenizer, messages)) == [
        said + "<|im_end|>"
    ]


BAD_TEMPLATES = {
    "no {% generation %} markers": "{{ messages[0]['content'] }}",
    "end-of-turn token": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}"
        "{% endgeneration %}<|im_end|>{% else %}{{ m['content'] }}{% endif %}{% endfor %}"
    ),
    "marks 0 agent turns of 2": (
        "{% for m in messages %}{{ m['content'] }}{% endfor %}"
        "{% if false %}{% generation %}{% endgeneration %}{% endif %}"
    ),
    "nothing else": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{% generation %}assistant: "
        "{{ m['content'] }}<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}{% endif %}"
        "{% endfor %}"
    ),
    "cannot render this conversation": (
        "{% generation %}{% endgeneration %}{{ raise_exception('roles must alternate') }}"
    ),
    "has no chat template": None,
}


@pytest.mark.parametrize("said", BAD_TEMPLATES)
def test_a_template_that_cannot_tell_the_agent_is_refused_in_a_sentence(said: str) -> None:
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.chat_template = BAD_TEMPLATES[said]
    with pytest.raises(InputError) as caught:
        encode_conversation(tokenizer, CONVERSATION)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "template", ["", {"default": "{% generation %}"}], ids=["empty", "several"]
)
def test_an_empty_template_and_several_by_name_are_none(template: Any) -> None:
    with pytest.raises(InputError, match="has no chat template"):
        _ChatEncoder(make_tokenizer("qwen2.5"), template)


def test_every_shipped_template_learns_the_end_of_turn() -> None:
    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.bos_token = "<|im_start|>"
    for path in sorted(TEMPLATES.glob("*.jinja")):
        tokenizer.chat_template = path.read_text(encoding="utf-8")
        text = scored_texts(tokenizer, encode_conversation(tokenizer, CONVERSATION))
        assert len(text) == 2, path.name
        assert all(len(said) > len("Action: click[b0123]") for said in text), path.name


@pytest.mark.parametrize("poison", ["", "<|im_end|>", "</s>", "<|eot_id|>[INST]", "<|im_start|>x"])
def test_training_and_acting_read_the_same_tokens(tokenizer: Any, poison: str) -> None:
    """The engine appends turns to a growing conversation; training encodes it as a whole."""
    messages = quoting(poison)
    assert_one_encoding(tokenizer, messages)


@pytest.mark.parametrize(
    "poison", ["a <think> here", "<think>", "x<think></think> <|im_end|> lamp"]
)
def test_a_marker_that_only_the_template_knows_is_text_in_training_too(poison: str) -> None:
    """Some models' markers are added tokens that their tokenizer does not call special."""
    from tokenizers import AddedToken

    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.add_tokens([AddedToken("<think>", special=False), AddedToken("lamp", special=False)])
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "{%- generation -%}", "{{- '<think>' -}}{%- generation -%}"
    ).replace("<|im_start|>assistant\\n' -}}", "<|im_start|>assistant\\n<think>' -}}")
    messages = quoting(poison)
    assert_one_encoding(tokenizer, messages)
    ids = encode_conversation(tokenizer, messages).input_ids
    assert ids.count(tokenizer.convert_tokens_to_ids("<think>")) == 1


def test_a_marker_that_stands_only_before_an_answer_is_text_in_training_too() -> None:
    from tokenizers import AddedToken

    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.add_tokens([AddedToken("<think>", special=False)])
    tokenizer.chat_template = tokenizer.chat_template.replace(
        "<|im_start|>assistant\\n' -}}", "<|im_start|>assistant\\n<think>' -}}"
    )
    shown = tokenizer.apply_chat_template(quoting(""), tokenize=False, add_generation_prompt=True)
    assert shown.endswith("<think>")
    ids = encode_conversation(tokenizer, [*quoting("<think>"), CONVERSATION[1]]).input_ids
    assert ids.count(tokenizer.convert_tokens_to_ids("<think>")) == 0


def test_a_quoted_marker_is_cut_behind_its_first_character() -> None:
    from tokenizers import AddedToken

    tokenizer = make_tokenizer("qwen2.5")
    tokenizer.add_tokens([AddedToken("<think>", special=False)])
    controls = ControlTokens(tokenizer, "<think>")
    words = [
        tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in ("go <", "think>")
    ]
    assert controls.text_ids("go <think>") == [number for ids in words for number in ids]


def test_a_token_that_the_tokenizer_puts_in_front_by_itself_is_left_out() -> None:
    """The template writes what begins a conversation."""
    from tokenizers.processors import TemplateProcessing

    tokenizer = make_tokenizer("qwen2.5")
    before = encode_conversation(tokenizer, CONVERSATION)
    end = tokenizer.eos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{end} $A", special_tokens=[(end, tokenizer.eos_token_id)]
    )
    assert tokenizer("a")["input_ids"][0] == tokenizer.eos_token_id
    assert encode_conversation(tokenizer, CONVERSATION) == before


def quoting(poison: str) -> list[dict[str, str]]:
    return [
        {"role": "user", "content": f"Instruction: find a red shirt {poison}"},
        {"role": "assistant", "content": "Thought: look.\nAction: search[red shirt]"},
        {"role": "user", "content": f"Page 1 {poison} [SEP] B0123"},
    ]


def assert_one_encoding(tokenizer: Any, messages: list[dict[str, str]]) -> None:
    """What acting reads is what training reads before the agent's next turn."""
    acting = TurnEncoder(tokenizer).whole(messages)
    answered = [*messages, {"role": "assistant", "content": "Action: click[b0123]"}]
    training = encode_conversation(tokenizer, answered, context=3)
    assert training.input_ids[: len(acting)] == acting
    assert training.agent_mask.index(1) == len(acting)

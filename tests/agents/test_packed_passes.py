"""What all conversations begin with is read once, and they say what they said without that."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config

from tests.agents.conftest import CHATML, make_model
from tests.agents.toy import open_environment
from tratree_cli.agents.local import packed_passes
from tratree_cli.agents.local.packed_passes import PackedPasses
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.local.row_passes import RowPasses
from tratree_cli.agents.policy import Message, Opening, Reply, Turn
from tratree_cli.agents.rollout import EpisodeRequest, play

SPECIALS = ["<|im_start|>", "<|im_end|>"]
MIXED = ["sliding_attention", "sliding_attention", "full_attention"]
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, {}),
    "qwen2": (Qwen2Config, {}),
    # A window that ends inside the prompt, and one that ends behind it.
    "gemma3": (Gemma3TextConfig, {"sliding_window": 24, "layer_types": MIXED, "head_dim": 8}),
    "mistral": (MistralConfig, {"sliding_window": 160}),
}
PROMPT: list[Message] = [
    {"role": "user", "content": "You are in a house. Light the lamp. " * 4},
    {"role": "assistant", "content": "Thought: I must get to the cellar.\nAction: go cellar"},
]
TEXTS = ["You are in the hall.", "Nothing happens. " * 9, "It is bright.", "No lamp."]
SHARED: dict[str, Any] = {"reading": "shared", "max_new_tokens": 12}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {
        name: make_model(
            tmp_path_factory.mktemp(name), CHATML, SPECIALS, "<|im_end|>",
            layers=3, family=family, more=more, positions=2048,
        )
        for name, (family, more) in FAMILIES.items()
    }  # fmt: skip


@pytest.fixture(params=sorted(FAMILIES))
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    return folders[request.param]


def packed(policy: LocalPolicy) -> PackedPasses:
    assert isinstance(policy.passes, PackedPasses), "the model allows it"
    return policy.passes


def opened(slot: int, prompt: Sequence[Message] = PROMPT) -> Opening:
    return Opening(slot, seed=slot, setting={"temperature": 0}, prefix=prompt)


def answered(policy: LocalPolicy, turns: Sequence[Turn]) -> list[Reply]:
    policy.submit(turns)
    replies: list[Reply] = []
    while len(replies) < len(turns):
        replies += policy.collect()
    return replies


def require_plain_words(policy: LocalPolicy, plain: Any, replies: Sequence[Reply]) -> None:
    """What was said is what ``generate`` of the model as it is loaded says."""
    forbidden = [[token] for token in policy._forbidden.nonzero()[:, 0].tolist()]
    for reply in replies:
        seen, sampled = policy.transcript(reply.slot), len(reply.tokens)
        before = torch.tensor([seen[: len(seen) - sampled]])
        with torch.inference_mode():
            truth = plain.generate(
                before,
                attention_mask=torch.ones_like(before),
                max_new_tokens=max(sampled, 1),
                do_sample=False,
                bad_words_ids=forbidden,
            )[0, before.shape[1] :].tolist()
        assert truth[:sampled] == list(reply.tokens)


def plain_model(folder: Path) -> Any:
    return LocalPolicy(folder)._model


@pytest.mark.parametrize("together", [False, True], ids=["in turn", "together"])
def test_greedy_words_after_a_shared_prompt_equal_generate(folder: Path, together: bool) -> None:
    policy, plain = LocalPolicy(folder, **SHARED), plain_model(folder)
    policy.passes = PackedPasses(policy._model, policy.max_context, together=together)
    policy.begin([opened(slot) for slot in range(3)])
    assert packed(policy)._rows[0] is policy._dialogues[0]
    for turn in range(3):
        texts = [TEXTS[(turn + slot) % 4] for slot in range(3)]
        replies = answered(policy, [Turn(slot, text) for slot, text in enumerate(texts)])
        require_plain_words(policy, plain, replies)
    assert all(dialogue.after > 80 for dialogue in policy._dialogues.values())


def test_a_conversation_with_another_beginning_reads_it_by_itself(folder: Path) -> None:
    policy, plain = LocalPolicy(folder, **SHARED), plain_model(folder)
    other = [{"role": "user", "content": "It is bright in the attic. " * 5}, PROMPT[1]]
    policy.begin([opened(0), opened(1, other), opened(2, ())])
    for text in TEXTS[:2]:
        require_plain_words(
            policy, plain, answered(policy, [Turn(slot, text) for slot in (1, 0, 2)])
        )
    assert sorted(dialogue.after > 0 for dialogue in policy._dialogues.values()) == [
        False,
        False,
        True,
    ]


def test_sampled_episodes_equal_those_that_read_the_prompt_each(folder: Path) -> None:
    environment = open_environment(tasks=9, steps=4, poison=" and on it goes" * 3)
    requests = [EpisodeRequest(str(task), seed=task * 7) for task in range(9)]
    setting = [{"temperature": 0.9, "top_p": 0.95}]
    outcomes = []
    for reading, batch in (("each", 9), ("shared", 9), ("shared", 4)):
        policy = LocalPolicy(folder, max_new_tokens=12, reading=reading)
        played, texts = play(environment, policy, requests, setting, prompt=PROMPT, batch=batch)
        outcomes.append((played, [texts[number] for number in range(len(texts))]))
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_a_prompt_is_read_once_and_every_other_token_once(folders: dict[str, Path]) -> None:
    policy = LocalPolicy(folders["llama"], **SHARED)
    read: list[int] = []
    policy._model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: read.append(given[0].numel())
    )
    for first in (0, 5):
        slots = range(first, first + 5)
        policy.begin([opened(slot) for slot in slots])
        for text in TEXTS[:3]:
            answered(policy, [Turn(slot, text) for slot in slots])
        if first == 0:
            kept = {slot: list(policy._dialogues[slot].ids) for slot in slots}
            shared = policy._dialogues[0].after
            assert sum(read) == shared + sum(len(ids) - shared for ids in kept.values())
            policy.finish(slots)
            read.clear()
    # Conversations that begin later find it.
    assert sum(read) == sum(len(policy._dialogues[slot].ids) - shared for slot in slots)


def test_a_template_that_rewrites_the_beginning_is_followed(tmp_path: Path) -> None:
    template = "{{ '<|im_start|>' ~ (messages | length) }}\n" + CHATML
    folder = make_model(tmp_path, template, SPECIALS, "<|im_end|>", layers=3)
    policy, plain = LocalPolicy(folder, **SHARED), plain_model(folder)
    assert not policy.chat.incremental
    policy.begin([opened(slot) for slot in range(2)])
    replies = answered(policy, [Turn(slot, TEXTS[0]) for slot in range(2)])
    assert policy._dialogues[0].after > 0
    for text in TEXTS[1:3]:
        require_plain_words(policy, plain, replies)
        replies = answered(policy, [Turn(slot, text) for slot in range(2)])
    assert policy._dialogues[0].after == 0


def test_long_texts_are_read_in_parts_beside_the_answers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed_passes, "READ_TOKENS", 17)
    policy, plain = LocalPolicy(folder, **SHARED), plain_model(folder)
    policy.begin([opened(slot) for slot in range(3)])
    for turn in range(2):
        turns = [Turn(slot, TEXTS[slot] * (1 + turn)) for slot in range(3)]
        require_plain_words(policy, plain, answered(policy, turns))


def test_a_turn_is_handed_out_when_it_ends(folders: dict[str, Path]) -> None:
    policy = LocalPolicy(folders["llama"], **SHARED)
    policy.begin([opened(slot) for slot in range(3)])
    policy.submit([Turn(slot, TEXTS[slot]) for slot in range(3)])
    first = policy.collect()
    policy.finish([reply.slot for reply in first])
    rest = {0, 1, 2} - {reply.slot for reply in first}
    # One is dropped while it is being answered; the others go on.
    if len(rest) > 1:
        policy.finish([rest.pop()])
    found = [reply.slot for _ in rest for reply in policy.collect()]
    assert set(found) <= rest
    policy.close()
    policy.begin([opened(7)])
    require_plain_words(
        policy, plain_model(folders["llama"]), answered(policy, [Turn(7, TEXTS[1])])
    )


def test_attention_that_is_computed_otherwise_keeps_its_own_passes(tmp_path: Path) -> None:
    """Gemma 2 caps its scores."""
    more = {"sliding_window": 24, "layer_types": MIXED, "head_dim": 8}
    folder = make_model(
        tmp_path, CHATML, SPECIALS, "<|im_end|>", layers=3, family=Gemma2Config, more=more
    )
    policy = LocalPolicy(folder, **SHARED)
    assert isinstance(policy.passes, RowPasses)
    policy.begin([opened(0)])
    require_plain_words(policy, plain_model(folder), answered(policy, [Turn(0, TEXTS[0])]))


def test_a_prompt_may_be_followed_by_more_than_the_context(folders: dict[str, Path]) -> None:
    policy = LocalPolicy(folders["llama"], max_context=200, **SHARED)
    policy.begin([opened(0)])
    assert [reply.end for reply in answered(policy, [Turn(0, "x y " * 400)])] == [
        "context-overflow"
    ]

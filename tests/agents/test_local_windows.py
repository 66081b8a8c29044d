"""Models whose layers look at a window of the last tokens play as plain transformers does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen2Config

from tests.agents.conftest import CHATML, make_model
from tratree_cli.agents.local.attention_masks import layer_masks
from tratree_cli.agents.local.model import supported_context
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.policy import Opening, Turn
from tratree_cli.errors import InputError

MIXED = ["sliding_attention", "sliding_attention", "full_attention"]
FAMILIES: dict[str, tuple[Any, dict[str, Any]]] = {
    "gemma3": (Gemma3TextConfig, {"sliding_window": 24, "layer_types": MIXED, "head_dim": 8}),
    "gemma2": (Gemma2Config, {"sliding_window": 24, "layer_types": MIXED, "head_dim": 8}),
    "mistral": (MistralConfig, {"sliding_window": 24}),
    "qwen2": (
        Qwen2Config,
        {"use_sliding_window": True, "sliding_window": 24, "max_window_layers": 1},
    ),
    "qwen2-full": (Qwen2Config, {"use_sliding_window": False, "sliding_window": 24}),
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def windowed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    family, more = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    specials = ["<|im_start|>", "<|im_end|>"]
    return make_model(
        folder, CHATML, specials, "<|im_end|>", layers=3, family=family, more=more, positions=2048
    )


def test_greedy_words_beyond_the_window_equal_generate(windowed: Path) -> None:
    policy = LocalPolicy(windowed, max_new_tokens=12)
    policy.begin([Opening(slot, seed=slot, setting={"temperature": 0}) for slot in range(3)])
    texts = ["You are in the hall.", "Nothing happens. " * 9, "It is bright.", "No lamp."]
    forbidden = [[token] for token in policy._forbidden.nonzero()[:, 0].tolist()]
    longest = 0
    for turn in range(4):
        policy.submit([Turn(slot, texts[(turn + slot) % 4]) for slot in range(3)])
        replies = []
        while len(replies) < 3:
            replies += policy.collect()
        for reply in replies:
            seen, sampled = policy.transcript(reply.slot), len(reply.tokens)
            before = torch.tensor([seen[: len(seen) - sampled]])
            longest = max(longest, before.shape[1])
            with torch.inference_mode():
                truth = policy._model.generate(
                    before,
                    attention_mask=torch.ones_like(before),
                    max_new_tokens=max(sampled, 1),
                    do_sample=False,
                    bad_words_ids=forbidden,
                )[0, before.shape[1] :].tolist()
            assert truth[:sampled] == list(reply.tokens)
    assert longest > 100, "the window of 24 tokens lies far behind"


def test_a_window_does_not_shorten_the_conversation(windowed: Path) -> None:
    policy = LocalPolicy(windowed, max_context=1500)
    assert policy.max_context == 1500


def test_positions_do_shorten_the_conversation() -> None:
    config = MistralConfig(max_position_embeddings=512, sliding_window=16)
    assert supported_context(config) == 512


def test_layers_of_another_kind_are_refused_in_a_sentence() -> None:
    config = LlamaConfig()
    config.layer_types = ["chunked_attention"] * 2
    with pytest.raises(InputError, match="knows no layers of the kind chunked_attention"):
        layer_masks(config)

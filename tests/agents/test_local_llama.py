"""The short way through a small Llama: the model's own numbers, or it is not taken."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.agents.conftest import CHATML, make_model
from tests.agents.toy import open_environment
from tratree_cli.agents.local import llama
from tratree_cli.agents.local.llama import PlainLlama
from tratree_cli.agents.local.model import forward
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.rollout import EpisodeRequest, play


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many key heads as heads, which is what the short way is for."""
    folder = tmp_path_factory.mktemp("plain")
    specials = ["<|im_start|>", "<|im_end|>"]
    return make_model(folder, CHATML, specials, "<|im_end|>", key_heads=4, hidden=64)


def test_both_ways_play_the_same_episodes(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where chunks are read in parts."""
    environment = open_environment(tasks=9, steps=4, poison=" and on it goes" * 3)
    requests = [EpisodeRequest(str(task), seed=task * 7) for task in range(9)]
    policy = LocalPolicy(model, max_new_tokens=8)
    long = partial(forward, policy._model)
    played = []
    for way, tokens in ((long, 0), (PlainLlama(policy._model, policy.max_context), 100)):
        monkeypatch.setattr(llama, "PASS_TOKENS", tokens)
        monkeypatch.setattr(policy.passes, "forward", way)
        played.append(play(environment, policy, requests)[0])
    assert played[0] == played[1]


def test_the_short_way_computes_what_the_model_does(model: Path) -> None:
    policy = LocalPolicy(model)
    short = PlainLlama(policy._model, 256)
    ids = torch.randint(250, (3, 90), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for start, end in ((0, 80), (80, 81), (81, 90)):
            positions = torch.arange(start, end).repeat(3, 1)
            policy.passes._cache.reserve(3, 90)
            made = short(policy.passes._cache, 0, ids[:, start:end], positions, end)
            truth = policy._model(input_ids=ids[:, :end]).logits[:, -1]
            assert torch.allclose(made, truth, atol=1e-4)


def test_a_way_that_rounds_otherwise_is_not_taken(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = PlainLlama._norm

    def off(self: PlainLlama, state: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return genuine(self, state, weight) * (1 + 2**-22)

    monkeypatch.setattr(PlainLlama, "_norm", off)
    assert not isinstance(LocalPolicy(model).passes.forward, PlainLlama)


def test_other_models_go_the_long_way(chatml_model: Path, model: Path) -> None:
    assert not PlainLlama.fits(LocalPolicy(chatml_model)._model)
    loaded: Any = LocalPolicy(model)._model
    assert PlainLlama.fits(loaded)
    assert not PlainLlama.fits(loaded.to(torch.bfloat16))

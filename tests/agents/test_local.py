"""The local engine against plain transformers: same tokens, same probabilities, any batch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from tests.agents.toy import open_environment
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.local.token_sampling import Draws, sample
from tratree_cli.agents.policy import Opening, Turn
from tratree_cli.agents.rollout import EpisodeRequest, play
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, Rollouts, conversation
from tratree_cli.models.load import resolve_base

SHORT = {"max_new_tokens": 12}


@pytest.mark.parametrize("model", ["chatml_model", "inst_model"])
def test_greedy_turns_equal_generate_on_the_whole_conversation(
    model: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(model)
    policy = LocalPolicy(folder, **SHORT)
    policy.begin([Opening(slot, seed=slot, setting={"temperature": 0}) for slot in range(3)])
    texts = ["You are in the hall.", "Nothing happens. " * 9, "It is bright.", "No lamp."]
    for turn in range(4):
        policy.submit([Turn(slot, texts[(turn + slot) % 4]) for slot in range(3)])
        replies = []
        while len(replies) < 3:
            replies += policy.collect()
        for reply in replies:
            seen = policy.transcript(reply.slot)
            sampled = len(reply.tokens)
            before = seen[: len(seen) - sampled]
            with torch.inference_mode():
                truth = policy._model.generate(
                    torch.tensor([before]),
                    attention_mask=torch.ones(1, len(before)),
                    max_new_tokens=max(sampled, 1),
                    do_sample=False,
                    bad_words_ids=[[i] for i in policy._forbidden.nonzero()[:, 0].tolist()],
                )[0, len(before) :].tolist()
            assert truth[:sampled] == list(reply.tokens)


def test_a_rows_tokens_do_not_depend_on_its_neighbours(chatml_model: Path) -> None:
    environment = open_environment(tasks=12, steps=4)
    requests = [EpisodeRequest(str(task), seed=task * 7) for task in range(12)]
    outcomes = []
    for batch in (1, 5, 12):
        policy = LocalPolicy(chatml_model, **SHORT)
        trajectories, texts = play(environment, policy, requests, batch=batch)
        rollouts = Rollouts(texts, trajectories)
        outcomes.append(
            [(t.sampled_tokens, conversation(rollouts, t), t.end) for t in trajectories]
        )
    assert outcomes[0] == outcomes[1] == outcomes[2]


def test_the_same_shard_gives_the_same_tokens_twice_in_one_policy(chatml_model: Path) -> None:
    environment = open_environment(tasks=6)
    requests = [EpisodeRequest(str(task), seed=task) for task in range(6)]
    policy = LocalPolicy(chatml_model, **SHORT)
    setting = [{"temperature": 0.8, "top_p": 0.9}]
    play(environment, policy, requests[:2], setting, batch=2)
    first, _ = play(environment, policy, requests, setting, batch=6)
    second, _ = play(environment, policy, requests, setting, batch=6)
    assert first == second


def test_a_conversation_that_outgrows_the_context_ends_as_overflow(chatml_model: Path) -> None:
    environment = open_environment(tasks=4, steps=50, poison=" and on it goes" * 5)
    policy = LocalPolicy(chatml_model, max_context=170, max_new_tokens=24)
    requests = [EpisodeRequest(str(task), seed=task) for task in range(4)]
    trajectories, _ = play(environment, policy, requests)
    assert CONTEXT_OVERFLOW in {trajectory.end for trajectory in trajectories}
    assert all(t.score is not None for t in trajectories)


def test_a_huge_observation_ends_the_conversation_without_being_read(chatml_model: Path) -> None:
    policy = LocalPolicy(chatml_model)
    policy.begin([Opening(0, 0)])
    policy.submit([Turn(0, "x" * (1 << 20))])
    assert [reply.end for reply in policy.collect()] == [CONTEXT_OVERFLOW]


def test_constrained_decoding_only_says_available_actions(chatml_model: Path) -> None:
    environment = open_environment(tasks=8)
    policy = LocalPolicy(chatml_model)
    requests = [EpisodeRequest(str(task), seed=task) for task in range(8)]
    trajectories, _ = play(environment, policy, requests, [{"constrain": "available"}])
    assert all(all(trajectory.valid) for trajectory in trajectories)
    assert not any(-1 in trajectory.actions for trajectory in trajectories)


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -1.0]]).expand(4000, -1)
    draws = Draws(3)
    uniforms = [draws.next() for _ in range(4000)]
    for temperature, top_p in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.8)):
        ids = sample(logits, [temperature] * 4000, [top_p] * 4000, uniforms)
        share = torch.bincount(torch.tensor(ids), minlength=4) / 4000
        truth = torch.softmax(logits[0] / temperature, -1)
        if top_p < 1:
            truth = torch.tensor([0.0, truth[1], truth[2], 0.0]) / (truth[1] + truth[2])
        assert torch.allclose(share, truth, atol=0.03)


def test_settings_of_a_row_are_its_own() -> None:
    logits = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    mixed = sample(logits, [0.0, 1.0, 0.7], [1.0, 1.0, 0.5], [0.3, 0.4, 0.5])
    alone = [
        sample(logits[row : row + 1], [t], [p], [u])[0]
        for row, (t, p, u) in enumerate([(0.0, 1.0, 0.3), (1.0, 1.0, 0.4), (0.7, 0.5, 0.5)])
    ]
    assert mixed == alone


def test_turns_end_where_the_models_own_settings_end_them(
    chatml_model: Path, tmp_path: Path
) -> None:
    """Chat models often name more than one ending, and the tokenizer only one of them."""
    folder = tmp_path / "model"
    shutil.copytree(chatml_model, folder)
    tokens = LocalPolicy(folder, **SHORT)
    tokens.begin([Opening(0, seed=0, setting={"temperature": 0})])
    tokens.submit([Turn(0, "You are in the hall.")])
    (reply,) = tokens.collect()
    settings = json.loads((folder / "generation_config.json").read_text())
    settings["eos_token_id"] = [settings["eos_token_id"], reply.tokens[2]]
    (folder / "generation_config.json").write_text(json.dumps(settings))
    stopping = LocalPolicy(folder, **SHORT)
    stopping.begin([Opening(0, seed=0, setting={"temperature": 0})])
    stopping.submit([Turn(0, "You are in the hall.")])
    (shorter,) = stopping.collect()
    assert shorter.tokens == reply.tokens[: reply.tokens.index(reply.tokens[2])]


def test_main_memory_is_used_where_conversations_are_long(chatml_model: Path) -> None:
    from tratree_cli.agents.local.kv_cache import RowCache

    whole, paged = RowCache(2), RowCache(2, longest=512, paged=True)
    for cache in (whole, paged):
        cache.reserve(3, 100)
        for first, count in ((0, 3), (1, 1)):
            positions = torch.arange(4).expand(count, -1)
            cache.aim(first, positions, 4)
            new = torch.arange(count * 4.0).view(count, 1, 4, 1)
            seen = cache.write(0, new, -new)
        cache.exchange(0, 1, 4, 4)
        cache.reserve(5, 200)
    assert paged.columns == 512
    assert torch.equal(seen[0], torch.arange(4.0).view(1, 1, 4, 1))
    assert whole.storage is not None
    assert paged.storage is not None
    assert torch.equal(whole.storage[..., :100, :], paged.storage[..., :100, :])


@pytest.mark.parametrize(("length", "other"), [(5, 2), (2, 5), (3, 3), (4, 0), (0, 4)])
def test_exchanged_rows_keep_all_that_is_in_use(length: int, other: int) -> None:
    from tratree_cli.agents.local.kv_cache import RowCache

    cache = RowCache(2)
    cache.reserve(3, 6)
    cache.aim(0, torch.arange(6).expand(3, -1), 6)
    for layer in range(2):
        new = torch.randn(3, 2, 6, 4)
        cache.write(layer, new, -new)
    assert cache.storage is not None
    before = cache.storage.clone()
    cache.exchange(0, 2, length, other)
    assert torch.equal(cache.storage[:, :, 2, :, :length], before[:, :, 0, :, :length])
    assert torch.equal(cache.storage[:, :, 0, :, :other], before[:, :, 2, :, :other])
    assert torch.equal(cache.storage[:, :, 1], before[:, :, 1])


@pytest.mark.parametrize("device", ["abacus", "cpu:x", "cuda:99"])
def test_a_device_that_is_not_there_is_a_sentence(device: str) -> None:
    with pytest.raises(InputError, match=f"there is no device '{device}' here"):
        LocalPolicy(resolve_base("tratree-s").folder, device=device)


def test_a_missing_or_damaged_model_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no model"):
        LocalPolicy(tmp_path / "nowhere")
    with pytest.raises(InputError, match="cannot be loaded"):
        LocalPolicy(tmp_path)
    damaged = shutil.copytree(resolve_base("tratree-s").folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be loaded"):
        LocalPolicy(damaged)

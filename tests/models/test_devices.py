"""What --device means, in training as in acting."""

from __future__ import annotations

import pytest
import torch

from tratree_cli.errors import InputError
from tratree_cli.models.devices import choose_device, own_device, precision, worker_device


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)


def test_auto_is_the_first_gpu_then_apples_then_the_cpu(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert choose_device("auto") == "cuda" and own_device("auto") == "cuda:0"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == "mps"
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == "cpu"


def test_a_gpu_may_be_named_by_its_number(two_gpus: None) -> None:
    assert choose_device("cuda:1") == own_device("cuda:1") == "cuda:1"
    assert precision("cuda:1") == precision("cuda") == "bfloat16"
    assert precision("cuda:1", "float32") == precision("cpu") == "float32"


@pytest.mark.parametrize("device", ["cuda:2", "cuda:x", "cuda:", "cpu:1", "tpu"])
def test_a_device_that_is_not_there_is_refused(two_gpus: None, device: str) -> None:
    with pytest.raises(InputError, match=f"there is no device '{device}' here"):
        choose_device(device)


def test_processes_that_train_together_take_a_gpu_each(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("auto") == own_device("cuda") == "cuda:1"
    with pytest.raises(InputError, match="CUDA_VISIBLE_DEVICES"):
        own_device("cuda:0")


def test_the_local_engine_knows_the_same_devices() -> None:
    from tratree_cli.agents.local.model import load_model
    from tratree_cli.models.load import resolve_base

    with pytest.raises(InputError, match="there is no device 'abacus' here"):
        load_model(resolve_base("tratree-s").folder, "abacus")


def test_the_workers_of_an_exploration_take_the_gpus_in_turn(two_gpus: None) -> None:
    assert [worker_device("auto", worker) for worker in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert worker_device("cuda", 1) == "cuda:1"
    assert worker_device("cuda:0", 1) == "cuda:0"
    assert worker_device("cpu", 1) == "cpu"


def test_a_worker_opens_its_models_on_its_own_gpu(
    two_gpus: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tratree_cli.agents import shard_workers
    from tratree_cli.agents.shard_player import PolicySource, RolloutJob
    from tratree_cli.envs.protocol import EnvironmentSpec

    monkeypatch.setattr(shard_workers, "worker_number", lambda: 1)
    sources = [PolicySource("m", "folder", {"device": "auto"}), PolicySource("random", "random")]
    job = shard_workers.on_own_device(
        RolloutJob(EnvironmentSpec("webshop", "embedded", ""), sources, [{}])
    )
    assert [dict(source.options) for source in job.sources] == [{"device": "cuda:1"}, {}]

"""Several processes and killed ones, for real: torchrun with gloo, SIGKILL in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import digests
from tratree_cli.errors import InputError, StageError
from tratree_cli.models.load import load_tokenizer
from tratree_cli.training.data import PairRow, SFTRow, pair_rows, sft_rows
from tratree_cli.training.launch import _follow, launch, read_task, write_task
from tratree_cli.training.params import DPOParams, JointParams, LoraParams, SFTParams
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.trainer import TrainingTask

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rows(policy: Path, conversations: Any) -> list[SFTRow]:
    return sft_rows(load_tokenizer(policy), conversations)[0]


@pytest.fixture
def task(policy: Path, rows: list[SFTRow], tmp_path: Path) -> TrainingTask[Any, Any]:
    config = SFTParams(learning_rate=1e-3, epochs=2, batch_size=6, seed=2)
    return TrainingTask("imitation", policy, rows, config, tmp_path / "out", tmp_path / "work")


def test_a_task_survives_being_written_down(task: TrainingTask[Any, Any], tmp_path: Path) -> None:
    config = replace(task.config, lora=LoraParams(r=4, targets=("q_proj",)), track=("wandb",))
    given = replace(task, config=config, base={"name": "x"})
    write_task(given, tmp_path / "task.json")
    assert read_task(tmp_path / "task.json") == given
    pair = PairRow([1], [2, 3], [4], [1, 1], [1], ref_chosen_logps=-1.5, nll_mask=[0, 1, 1])
    joint = replace(given, trainer="joint", config=JointParams(seed=3), pairs=[pair])
    write_task(joint, tmp_path / "joint.json")
    assert read_task(tmp_path / "joint.json") == joint


def test_a_report_that_is_half_written_is_read_when_it_is_whole(tmp_path: Path) -> None:
    reports = tmp_path / "progress.jsonl"
    reports.write_bytes(b"")
    line = b'{"done": 1, "total": 2, "facts": {"loss": 0.5}}\n'
    pieces = [line[:9], line[9:-1], line[-1:] + line[:20], line[20:]]
    seen: list[tuple[int, int, Any]] = []

    class Workers:
        def poll(self) -> int | None:
            with reports.open("ab") as file:
                file.write(pieces.pop(0))
            return None if pieces else 0

    _follow(Workers(), reports, lambda *told: seen.append(told))  # type: ignore[arg-type]
    assert seen == [(1, 2, {"loss": 0.5})] * 2


def test_one_process_trains_here(task: TrainingTask[Any, Any]) -> None:
    assert launch(task).steps == 4
    assert (task.out / "model.safetensors").is_file()
    assert not (task.work / "task.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no accelerate configuration"),
        ("a: [", "is not YAML"),
        ("num_processes: many", "'many', not a number"),
    ],
)
def test_a_bad_accelerate_file_is_refused(
    task: TrainingTask[Any, Any], tmp_path: Path, text: str, said: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        launch(task, accelerate=tmp_path / "bad.yaml")
    with pytest.raises(InputError, match="at least 1"):
        launch(task, processes=0)


def test_the_cluster_templates_name_their_processes_and_strategy(
    task: TrainingTask[Any, Any],
) -> None:
    from tratree_cli.training.launch import accelerate_facts

    folder = REPOSITORY / "templates" / "cluster"
    facts = {name: accelerate_facts(folder / name) for name in ("fsdp2.yaml", "zero3.yaml")}
    assert facts["fsdp2.yaml"] == {"TRATREE_PROCESSES": "8", "TRATREE_STRATEGY": "FSDP"}
    assert facts["zero3.yaml"] == {"TRATREE_PROCESSES": "8", "TRATREE_STRATEGY": "DEEPSPEED"}


@pytest.mark.parametrize("name", ["fsdp2", "zero3"])
def test_accelerate_knows_every_key_of_the_cluster_templates(name: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.commands.launch import launch_command_parser

    config = load_config_from_file(str(REPOSITORY / "templates" / "cluster" / f"{name}.yaml"))
    options = {action.dest for action in launch_command_parser()._actions}
    assert config.num_processes == 8
    assert set(config.fsdp_config) | set(config.deepspeed_config) <= options


def test_sharded_weights_keep_their_adapter_apart(task: TrainingTask[Any, Any]) -> None:
    from tratree_cli.training.launch import unmerged

    whole = replace(task, config=replace(task.config, lora=LoraParams(r=4)))
    merges = {
        strategy: unmerged(whole, strategy).config.lora.merge  # type: ignore[union-attr]
        for strategy in ("", "MULTI_GPU", "FSDP", "DEEPSPEED")
    }
    assert merges == {"": True, "MULTI_GPU": True, "FSDP": False, "DEEPSPEED": False}
    assert unmerged(task, "FSDP") == task


def test_a_process_that_the_system_killed_is_said_to_want_memory(tmp_path: Path) -> None:
    from tratree_cli.training.launch import _outcome

    log = tmp_path / "workers.log"
    log.write_text(
        "  exitcode  : -9 (pid: 71)\n  traceback : Signal 9 (SIGKILL) received by PID 71\n"
    )
    with pytest.raises(StageError, match=r"was killed \(SIGKILL\).*; lower sft.micro_batch"):
        _outcome(tmp_path, 1, log)


@pytest.mark.slow
def test_two_processes_train_as_one_with_twice_the_batch(
    task: TrainingTask[Any, Any], tmp_path: Path
) -> None:
    steps: list[int] = []
    both = launch(
        replace(task, config=replace(task.config, batch_size=3)),
        processes=2,
        progress=lambda done, total, facts: steps.append(done),
    )
    alone = launch(replace(task, out=tmp_path / "alone", work=tmp_path / "w"))
    assert steps == [1, 2, 3, 4]
    assert both.steps == alone.steps == 4
    assert both.tokens == alone.tokens
    mean = [sum(v for _, v in result.curves["loss"]) / 4 for result in (both, alone)]
    assert mean[0] == pytest.approx(mean[1], abs=0.05)
    assert sorted(digests(task.out)) == sorted(digests(tmp_path / "alone"))


@pytest.mark.slow
def test_two_processes_train_on_preferences(
    policy: Path, weaker: Path, pairs: Any, tmp_path: Path
) -> None:
    plain = pair_rows(load_tokenizer(policy), pairs)[0]
    rows = with_reference(plain, reference_logps(weaker, plain))
    config = DPOParams(learning_rate=1e-3, epochs=2, batch_size=2)
    task = TrainingTask("preference", policy, rows, config, tmp_path / "out", tmp_path / "work")
    result = launch(task, processes=2)
    assert result.steps == 4
    assert result.curves["margin"][-1][1] > result.curves["margin"][0][1]


@pytest.mark.slow
def test_two_processes_train_jointly_as_one_that_accumulates(
    task: TrainingTask[Any, Any], weaker: Path, pairs: Any, tmp_path: Path
) -> None:
    plain = pair_rows(load_tokenizer(task.model), pairs)[0]
    preferences = with_reference(plain, reference_logps(weaker, plain))
    config = JointParams(learning_rate=1e-3, epochs=2, batch_size=3)
    joint = replace(task, trainer="joint", pairs=preferences, config=config)
    both = launch(joint, processes=2)
    config = replace(config, accumulation=2)
    alone = launch(replace(joint, config=config, out=tmp_path / "alone", work=tmp_path / "w"))
    assert both.steps == alone.steps == 4
    one, two = (dict(result.curves["loss"]) for result in (both, alone))
    assert one == pytest.approx(two, abs=1e-4)


@pytest.mark.slow
def test_fewer_processes_than_asked_for_publish_nothing(
    task: TrainingTask[Any, Any], tmp_path: Path
) -> None:
    """accelerate starts one process on a CPU, whatever its file says."""
    path = tmp_path / "two.yaml"
    path.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n")
    with pytest.raises(StageError, match="2 processes were asked for but 1"):
        launch(task, accelerate=path)
    assert not task.out.exists()


@pytest.mark.slow
def test_what_stops_a_worker_is_raised_here(task: TrainingTask[Any, Any]) -> None:
    config = replace(task.config, learning_rate=1e10, checkpoint_every=0)
    with pytest.raises(StageError, match="the loss became nan"):
        launch(replace(task, config=config), processes=2)


@pytest.mark.slow
@pytest.mark.parametrize("trainer", ["imitation", "preference", "preference by trees", "joint"])
def test_a_training_killed_with_sigkill_resumes_to_the_same_bytes(
    policy: Path, weaker: Path, rows: list[SFTRow], pairs: Any, tmp_path: Path, trainer: str
) -> None:
    if trainer == "imitation":
        config: Any = SFTParams(
            learning_rate=1e-3,
            epochs=25,
            batch_size=3,
            checkpoint_every=5,
            lora=LoraParams(r=4, alpha=8, dropout=0.1),
        )
        given: Any = rows
    elif trainer == "joint":
        config = JointParams(learning_rate=1e-3, epochs=25, batch_size=3, checkpoint_every=5)
        given = rows
    else:
        config = DPOParams(learning_rate=1e-3, epochs=25, batch_size=2, checkpoint_every=5)
        if trainer == "preference by trees":
            trainer, config = "preference", replace(config, tree_packing="on")
        plain = pair_rows(load_tokenizer(policy), pairs)[0]
        given = with_reference(plain, reference_logps(weaker, plain))
    tasks = {
        name: TrainingTask(trainer, policy, given, config, tmp_path / name / "out", tmp_path / name)
        for name in ("whole", "cut")
    }
    if trainer == "joint":
        plain = pair_rows(load_tokenizer(policy), pairs)[0]
        beside = with_reference(plain, reference_logps(weaker, plain))
        tasks = {name: replace(task, pairs=beside) for name, task in tasks.items()}
    for task in tasks.values():
        task.work.mkdir()
        write_task(task, task.work / "task.json")

    def worker(name: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "tratree_cli.training.worker", tasks[name].work / "task.json"],
            cwd=REPOSITORY,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    assert worker("whole").wait(timeout=300) == 0
    killed = worker("cut")
    checkpoints = tasks["cut"].work / "checkpoints"
    while killed.poll() is None and not list(checkpoints.glob("checkpoint-*")):
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not tasks["cut"].out.exists()
    assert worker("cut").wait(timeout=300) == 0
    result = json.loads((tasks["cut"].work / "result.json").read_text())
    assert 0 <= result["resumed_from"] < result["steps"]
    assert digests(tasks["cut"].out) == digests(tasks["whole"].out)

"""Training on a GPU: `make gpu`. Precision and device by themselves, sharding for real."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import QUICK, run_tratree
from tests.tiny_models import make_model

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
REPOSITORY = Path(__file__).parents[2]
LORA = ("--set", "sft.lora_r=4", "--set", "sft.lora_alpha=8")


@pytest.fixture
def folder(tmp_path: Path, conversations: Any, pair_documents: Any) -> Path:
    files = {"demos": [{"messages": c} for c in conversations], "pairs": pair_documents}
    for name, records in files.items():
        text = "".join(json.dumps(record) + "\n" for record in records)
        (tmp_path / f"{name}.jsonl").write_text(text)
    make_model(tmp_path / "model", width=64)
    return tmp_path


def made(folder: Path, *words: str) -> dict[str, Any]:
    """The artifact that a command describes, with its training record."""
    done = run_tratree(folder, *words, "--json", "--no-stdin", timeout=900)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    record = json.loads((folder / answer["path"] / "training.json").read_text())
    return {**answer, "record": record}


SFT = ("sft", "--demos", "demos.jsonl", "--model", "model", *QUICK)
DPO = ("train-strong", "--pairs", "pairs.jsonl", "--model", "model", *QUICK)


def test_the_gpu_and_bfloat16_are_chosen_by_themselves() -> None:
    from tratree_cli.models.devices import choose_device, own_device, precision
    from tratree_cli.training.params import LoraParams, TrainingParams
    from tratree_cli.training.trainer_args import weight_dtype

    full, adapter = TrainingParams(), TrainingParams(lora=LoraParams())
    wanted = "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    assert choose_device("auto") == "cuda" and own_device("auto") == "cuda:0"
    assert precision("auto") == wanted
    # Frozen weights may be rounded; trained ones are kept whole.
    assert (weight_dtype(full), weight_dtype(adapter)) == ("float32", wanted)
    assert choose_device("cpu") == "cpu" and precision("cpu") == "float32"


@pytest.mark.parametrize(
    "more",
    [(), LORA, ("--set", "sft.gradient_checkpointing=true"), ("--set", "sft.packing=true")],
    ids=["all weights", "adapter", "checkpointing", "packing"],
)
def test_supervised_training_on_the_gpu_is_that_of_the_cpu_but_for_rounding(
    folder: Path, more: tuple[str, ...]
) -> None:
    losses = {
        device: made(folder, *SFT, *more, "--device", device, "--store", device)["record"]["curves"]
        for device in ("cpu", "cuda")
    }
    first = [losses[device]["loss"][0][1] for device in ("cpu", "cuda")]
    assert first[0] == pytest.approx(first[1], abs=0.05)
    assert losses["cuda"]["loss"][-1][1] == pytest.approx(losses["cpu"]["loss"][-1][1], abs=0.1)


def test_eq_4_and_6_in_float32_are_the_cpus(folder: Path) -> None:
    exact = ("--set", "sft.dtype=float32")
    for words in (SFT, DPO):
        first = [
            made(folder, *words, *exact, "--device", device, "--store", device)["record"]["curves"]
            for device in ("cpu", "cuda")
        ]
        assert first[0]["loss"][0][1] == pytest.approx(first[1]["loss"][0][1], abs=1e-3)


@pytest.mark.parametrize("more", [(), LORA, ("--explicit-kl",)], ids=["all", "adapter", "kl"])
def test_preferences_are_learnt_on_the_gpu(folder: Path, more: tuple[str, ...]) -> None:
    rate = ("--set", "dpo.learning_rate=3e-3", "--set", "dpo.epochs=4")
    curves = made(folder, *DPO, *rate, *more)["record"]["curves"]
    assert curves["accuracy"][-1][1] == 1.0
    assert curves["margin"][-1][1] > curves["margin"][0][1]


def test_the_explorer_trains_on_the_gpu(folder: Path) -> None:
    near = made(folder, *SFT, "--name", "near")
    far = made(folder, *SFT, "--diverge-from", near["ref"])
    assert {"kl", "kl_capped"} <= set(far["record"]["curves"])


def test_a_training_on_the_gpu_leaves_nothing_but_the_model(folder: Path) -> None:
    answer = made(folder, *SFT)
    names = {path.name for path in (folder / answer["path"]).iterdir()}
    assert {"model.safetensors", "training.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".md", ".pt"))]


def sharded(folder: Path, processes: int) -> str:
    """The shipped FSDP2 file, for as many processes."""
    text = (REPOSITORY / "templates" / "cluster" / "fsdp2.yaml").read_text()
    changed = re.sub(r"num_processes: \d+", f"num_processes: {processes}", text)
    (folder / "fsdp2.yaml").write_text(changed)
    return "fsdp2.yaml"


@pytest.mark.parametrize(
    "words",
    [SFT, (*SFT, *LORA), DPO, (*DPO, *LORA)],
    ids=["sft", "sft adapter", "dpo", "dpo adapter"],
)
def test_fsdp2_trains_in_the_world_that_was_asked_for(folder: Path, words: tuple[str, ...]) -> None:
    """One GPU shards among one process; the strategy is asserted by the workers all the same."""
    processes = min(2, torch.cuda.device_count())
    answer = made(folder, *words, "--launch", sharded(folder, processes))
    if processes > 1:
        assert (answer["summary"]["processes"], answer["summary"]["strategy"]) == (2, "FSDP")
    alone = made(folder, *words, "--store", "alone")["record"]["curves"]
    together = answer["record"]["curves"]
    assert together["loss"][0][1] == pytest.approx(alone["loss"][0][1], abs=0.05)
    names = {path.name for path in (folder / answer["path"]).iterdir()}
    assert ("adapter_model.safetensors" if LORA[1] in words else "model.safetensors") in names


def test_more_processes_than_gpus_publish_nothing(folder: Path) -> None:
    more = torch.cuda.device_count() + 1
    done = run_tratree(
        folder, *SFT, "--set", f"sft.batch_size={more}", "--processes", str(more), "--no-stdin"
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert run_tratree(folder, "show", "model@latest").returncode == 2

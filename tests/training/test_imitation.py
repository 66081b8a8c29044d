"""Supervised training: its loss by hand, its bytes, and what it does when things go wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_models import digests
from tratree_cli.errors import InputError, StageError
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.models.save import write_model
from tratree_cli.training.data import SFTRow, sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import LoraParams, SFTParams, silent

QUICK = SFTParams(learning_rate=3e-3, epochs=2, batch_size=4, seed=3)


@pytest.fixture(scope="module")
def rows(policy: Path, conversations: Any) -> list[SFTRow]:
    return sft_rows(load_tokenizer(policy), conversations)[0]


def loss_by_hand(model: Any, rows: list[SFTRow]) -> float:
    """Eq. 4 over all rows: mean of -log p over the agent's tokens, one row at a time."""
    import torch

    total, count = 0.0, 0
    for row in rows:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([row.input_ids])).logits[0].double()
        logp = torch.log_softmax(logits, dim=-1)
        for place in range(1, row.length):
            if row.agent_mask[place]:
                total -= float(logp[place - 1, row.input_ids[place]])
                count += 1
    return total / count


@pytest.mark.parametrize(
    ("batch", "accumulation", "packing"),
    [(12, 1, False), (4, 3, False), (5, 3, False), (12, 1, True)],
)
def test_the_first_loss_is_equation_4_computed_by_hand(
    policy: Path,
    rows: list[SFTRow],
    tmp_path: Path,
    batch: int,
    accumulation: int,
    packing: bool,
) -> None:
    config = SFTParams(
        max_steps=1, batch_size=batch, accumulation=accumulation, packing=packing, pack_length=200
    )
    result = train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")
    assert result.curves["loss"][0][1] == pytest.approx(
        loss_by_hand(load_model(policy), rows), abs=1e-5
    )


def test_training_lowers_the_loss_and_reports_each_step(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    seen: list[tuple[int, int]] = []
    facts: list[dict[str, float]] = []

    def progress(done: int, total: int, now: Any) -> None:
        seen.append((done, total))
        facts.append(dict(now))

    result = train_sft(policy, rows, QUICK, tmp_path / "out", tmp_path / "work", progress)
    assert seen == [(step, 6) for step in range(1, 7)]
    assert set(facts[-1]) == {"loss", "tokens/s"}
    assert facts[-1]["tokens/s"] > 0
    assert result.steps == 6
    assert result.tokens == 2 * sum(row.length for row in rows)
    assert result.scored_share == pytest.approx(
        sum(row.scored for row in rows) / sum(row.length for row in rows)
    )
    before, after = load_model(policy), load_model(tmp_path / "out")
    assert loss_by_hand(after, rows) < loss_by_hand(before, rows) - 0.1


def test_equal_trainings_give_equal_bytes_and_nothing_that_changes(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    for name in ("one", "two"):
        train_sft(policy, rows, QUICK, tmp_path / name, tmp_path / f"work-{name}")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
    assert sorted(digests(tmp_path / "one")) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training.json",
    ]
    written = b"".join(path.read_bytes() for path in (tmp_path / "one").glob("*.json"))
    for changing in (str(tmp_path), str(policy), "transformers_version", "seconds", "threads"):
        assert changing.encode() not in written
    record = json.loads((tmp_path / "one" / "training.json").read_text())
    assert record["scored_share"] == pytest.approx(
        sum(row.scored for row in rows) / sum(row.length for row in rows), abs=1e-6
    )
    assert len(record["curves"]["loss"]) == 6


@pytest.mark.parametrize("packing", [False, True])
def test_a_data_seed_changes_the_order_of_rows_and_nothing_else(
    policy: Path, rows: list[SFTRow], tmp_path: Path, packing: bool
) -> None:
    def trained(data_seed: int | None) -> tuple[str, dict[str, Any]]:
        config = replace(QUICK, data_seed=data_seed, packing=packing, pack_length=200)
        out = tmp_path / f"out-{data_seed}"
        train_sft(policy, rows, config, out, tmp_path / "work")
        return digests(out)["model.safetensors"], json.loads((out / "training.json").read_text())

    (plain, record), (as_seed, _), (other, told) = (trained(seed) for seed in (None, 3, 7))
    assert plain == as_seed != other
    # Where none was given the record is what it was before there was one.
    assert "data_seed" not in record["parameters"]
    assert told["parameters"]["data_seed"] == 7
    assert told["tokens"] == record["tokens"]


def test_another_seed_gives_another_model(policy: Path, rows: list[SFTRow], tmp_path: Path) -> None:
    for seed in (0, 1):
        config = SFTParams(epochs=1, batch_size=4, learning_rate=1e-3, seed=seed)
        train_sft(policy, rows, config, tmp_path / str(seed), tmp_path / f"work-{seed}")
    one, two = (digests(tmp_path / str(seed))["model.safetensors"] for seed in (0, 1))
    assert one != two


@pytest.mark.parametrize("lora", [None, LoraParams(r=4, alpha=8, dropout=0.1)])
def test_an_interrupted_training_resumes_to_the_same_bytes(
    policy: Path, rows: list[SFTRow], tmp_path: Path, lora: LoraParams | None
) -> None:
    config = SFTParams(
        learning_rate=3e-3, epochs=3, batch_size=3, lora=lora, checkpoint_every=1, warmup=0.2
    )
    train_sft(policy, rows, config, tmp_path / "whole", tmp_path / "work-whole")

    def interrupt(done: int, total: int, facts: Any) -> None:
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_sft(policy, rows, config, tmp_path / "cut", tmp_path / "work-cut", interrupt)
    assert not (tmp_path / "cut").exists()
    result = train_sft(policy, rows, config, tmp_path / "cut", tmp_path / "work-cut")
    assert result.resumed_from == 6
    assert digests(tmp_path / "whole") == digests(tmp_path / "cut")


def test_a_half_written_checkpoint_is_not_resumed(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    work = tmp_path / "work"
    config = SFTParams(learning_rate=1e-3, epochs=1, batch_size=4, checkpoint_every=1)
    train_sft(policy, rows, config, tmp_path / "one", work)
    (work / "checkpoints" / "checkpoint-3" / "trainer_state.json").write_text('{"half')
    result = train_sft(policy, rows, config, tmp_path / "two", work)
    assert result.resumed_from == 2
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_checkpoints_are_found_again_whatever_the_models_path_is_called_by(
    policy: Path, rows: list[SFTRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = SFTParams(learning_rate=1e-3, epochs=1, batch_size=4, checkpoint_every=1)
    train_sft(policy, rows, config, tmp_path / "one", tmp_path / "work")
    monkeypatch.chdir(policy.parent)
    again = train_sft(policy.name, rows, config, tmp_path / "two", tmp_path / "work")
    assert again.resumed_from > 0


def test_gathered_weights_that_are_not_finite_are_never_written(
    policy: Path, tmp_path: Path
) -> None:
    import torch

    state = {"model.norm.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(StageError, match=r"not finite \(model.norm.weight\)"):
        write_model(None, policy, tmp_path / "out", "float32", {}, state=state)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", [1, 32, 33, 100])
@pytest.mark.parametrize("epochs", [0.5, 1.0, 1.5, 2.1])
def test_the_control_takes_as_many_steps_as_the_training_it_is_compared_with(
    rows: int, epochs: float
) -> None:
    from tratree_cli.stages.schedules import steps_on
    from tratree_cli.training.trainer_args import total_steps

    own = steps_on(rows, epochs, 32)
    assert own == total_steps(rows, SFTParams(epochs=epochs, batch_size=8, accumulation=4))


def test_checkpoints_of_other_rows_are_not_resumed(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    train_sft(policy, rows, QUICK, tmp_path / "one", tmp_path / "work")
    again = train_sft(policy, rows[:8], QUICK, tmp_path / "two", tmp_path / "work")
    assert again.resumed_from == 0


def test_training_writes_nothing_to_stdout_or_stderr(
    policy: Path, rows: list[SFTRow], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train_sft(policy, rows, QUICK, tmp_path / "out", tmp_path / "work")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("learning_rate", "said", "kept"),
    [
        (1e10, "the loss became nan at step 3", 1),
        (30.0, r"the loss grew from 5.96 to 1.05e.* and stayed there at step 3", 1),
    ],
)
def test_a_diverging_loss_stops_and_keeps_the_last_good_checkpoint(
    policy: Path, rows: list[SFTRow], tmp_path: Path, learning_rate: float, said: str, kept: int
) -> None:
    config = SFTParams(
        learning_rate=learning_rate,
        scheduler="constant_with_warmup",
        warmup=3,
        max_steps=9,
        batch_size=4,
        checkpoint_every=1,
    )
    with pytest.raises(StageError, match=said) as caught:
        train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")
    good = tmp_path / "work" / "checkpoints" / f"checkpoint-{kept}"
    assert f"the last good state is kept in {good}; lower" in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert loss_by_hand(load_model(good), rows) < 7
    assert not (good.parent / f"checkpoint-{kept + 1}").exists()


def test_one_batch_out_of_bounds_is_no_explosion(
    policy: Path, rows: list[SFTRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import SFTTrainer

    ordinary = SFTTrainer.compute_loss

    def spiky(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = ordinary(self, *args, **kwargs)
        if self.state.global_step != 4:
            return found
        return (found[0] + 1e4, *found[1:]) if isinstance(found, tuple) else found + 1e4

    monkeypatch.setattr(SFTTrainer, "compute_loss", spiky)
    config = SFTParams(max_steps=9, batch_size=4, checkpoint_every=2)
    train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")
    assert (tmp_path / "out").exists()


def test_lora_trains_only_adapters_and_merges_them(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    import torch

    config = SFTParams(learning_rate=1e-2, epochs=2, batch_size=4, lora=LoraParams(r=4, alpha=8))
    train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")
    before, after = load_model(policy).state_dict(), load_model(tmp_path / "out").state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all("_proj" in name for name in changed)


def test_an_unmerged_adapter_names_its_base_and_loads_again(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    import torch

    from tratree_cli.models.load import resolve_base

    base = {"name": str(policy), "identity": resolve_base(str(policy)).identity}
    lora = {"r": 4, "alpha": 8, "targets": ("q_proj", "v_proj")}
    for merge in (True, False):
        config = SFTParams(
            learning_rate=1e-2, epochs=2, batch_size=4, lora=LoraParams(**lora, merge=merge)
        )  # type: ignore[arg-type]
        train_sft(policy, rows, config, tmp_path / str(merge), tmp_path / f"w{merge}", base=base)
    adapter = tmp_path / "False"
    assert not (adapter / "model.safetensors").exists()
    assert (adapter / "adapter_model.safetensors").stat().st_size < 50_000
    assert json.loads((adapter / "adapter_config.json").read_text())["target_modules"] == [
        "q_proj",
        "v_proj",
    ]
    one, two = load_model(tmp_path / "True").state_dict(), load_model(adapter).state_dict()
    assert all(torch.allclose(one[name], two[name], atol=1e-6) for name in one)
    gone = {"name": "./gone", "identity": f"sha256:{'0' * 64}"}
    (adapter / "base.json").write_text(json.dumps(gone))
    with pytest.raises(InputError, match=r"adapter of '\./gone' \(sha256:0+….*is missing"):
        load_model(adapter)


def test_half_precision_weights_are_stored_when_asked_for(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    config = SFTParams(max_steps=1, batch_size=4, save_dtype="bfloat16")
    train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    assert size < 0.6 * (policy / "model.safetensors").stat().st_size


def test_packing_refuses_to_cut_a_conversation(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    config = SFTParams(max_steps=1, packing=True, pack_length=50)
    with pytest.raises(InputError, match="pack_length 50 is less than the longest"):
        train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")


def test_nothing_to_train_on_is_said_so(policy: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to train on"):
        train_sft(policy, [], QUICK, tmp_path / "out", tmp_path / "work", silent)


def test_a_device_that_is_not_there_is_said_so(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    config = SFTParams(max_steps=1, device="cuda")
    with pytest.raises(InputError, match="no device 'cuda' here"):
        train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")


def test_running_out_of_memory_says_what_to_lower(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    import torch

    def exhaust(done: int, total: int, facts: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(StageError, match="not enough memory to train; lower"):
        train_sft(policy, rows, QUICK, tmp_path / "out", tmp_path / "work", exhaust)


def test_what_the_allocator_says_on_a_cpu_is_understood() -> None:
    import torch

    from tratree_cli.models.devices import explain_out_of_memory

    with (
        pytest.raises(StageError, match="memory to train; use less"),
        explain_out_of_memory("use less"),
    ):
        torch.empty(1 << 50)
    with pytest.raises(RuntimeError, match="shape"), explain_out_of_memory("use less"):
        torch.empty(2).reshape(3)


def test_a_tracker_that_is_not_installed_is_named(
    policy: Path, rows: list[SFTRow], tmp_path: Path
) -> None:
    import importlib.util

    if importlib.util.find_spec("trackio"):
        pytest.skip("trackio is installed here")
    config = SFTParams(max_steps=1, track=("trackio",))
    with pytest.raises(InputError, match="pip install trackio"):
        train_sft(policy, rows, config, tmp_path / "out", tmp_path / "work")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"track": ("wand",)}, "did you mean 'wandb'"),
        ({"scheduler": "cosinus"}, "did you mean 'cosine'"),
        ({"dtype": "float8"}, "unknown dtype"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"epochs": 0}, "epochs > 0 or max_steps > 0"),
        ({"learning_rate": -1.0}, "learning_rate must be above 0"),
    ],
)
def test_wrong_parameters_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        SFTParams(**wrong)

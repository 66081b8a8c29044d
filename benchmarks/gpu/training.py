"""Training a 7B-shaped model with random weights: LoRA in bfloat16, beside the plain TRL script.

The adapters are the paper's (r 64, alpha 128), the conversations a shop's of about a thousand
tokens. Wall time of optimizer steps, the first left out; tokens are those read. The share of peak
counts 4 operations per weight and token (forward, and backward through frozen weights), against
what one large matrix product achieves on the same device and, where it is known, the data sheet's
figure. The peak of memory stands beside its forecast (``models.memory``).
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.gpu.context import Context, Shape, finish, make_model, peak_bytes, reset_peak
from tratree_cli.models.memory import Rows, Training, training_memory
from tratree_cli.models.shapes import folder_shape
from tratree_cli.resources import templates_dir

WARM = 2
"""Steps that are not counted: allocation, and kernels that choose themselves."""
DATA_SHEET = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}
"""Dense bfloat16 operations a second, by what the device's name contains."""


def run(context: Context) -> dict[str, float]:
    """The part ``training-7b``: speeds, shares of peak, peaks of memory and their forecasts."""
    return measure(context.seven, context.folder, context.device)


def measure(shape: Shape, folder: Path, device: str) -> dict[str, float]:
    """Tokens and pairs a second of ours and of plain TRL, memory, and the shares of peak."""
    model = make_model(folder / f"model-{shape.name}", shape, device)
    episodes, pairs = talk(shape)
    found: dict[str, float] = {}
    ways = {
        "sft_tratree_tokens_per_second": lambda: our_sft(model, episodes, shape, folder, device),
        "sft_plain_trl_tokens_per_second": lambda: plain_sft(
            model, episodes, shape, folder, device
        ),
        "dpo_tratree_pairs_per_second": lambda: our_dpo(model, pairs, shape, folder, device),
        "dpo_plain_trl_pairs_per_second": lambda: plain_dpo(model, pairs, shape, folder, device),
    }
    for name, train in ways.items():
        reset_peak(device)
        found[name] = train()
        if device == "cuda":
            kind, whose = name.split("_")[:2]
            found[f"{kind}_{whose}_peak_bytes"] = peak_bytes(device)
    found["sft_forecast_bytes"] = forecast(model, episodes, shape, device)
    if device == "cuda":
        found["forecast_over_peak"] = found["sft_forecast_bytes"] / found["sft_tratree_peak_bytes"]
    done = found["sft_tratree_tokens_per_second"] * 4 * count(model)
    found["matrix_product_operations_per_second"] = matrix_products(device)
    found["share_of_a_matrix_product"] = done / found["matrix_product_operations_per_second"]
    if device == "cuda":
        import torch

        peaks = [peak for part, peak in DATA_SHEET.items() if part in torch.cuda.get_device_name()]
        if peaks:
            found["share_of_the_data_sheets_peak"] = done / peaks[0]
    for kind, unit in (("sft", "tokens"), ("dpo", "pairs")):
        ours, theirs = (
            found[f"{kind}_{who}_{unit}_per_second"] for who in ("tratree", "plain_trl")
        )
        found[f"{kind}_times_plain_trl"] = ours / theirs
    return found


def forecast(model: Path, episodes: list, shape: Shape, device: str) -> float:
    """What ``--dry-run`` would say of the SFT above, from the rows that it reads."""
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.training.data import sft_rows

    rows, _ = sft_rows(load_tokenizer(model), episodes)
    batch = sorted(rows, key=lambda row: -row.length)[: shape.rows]
    sizes = folder_shape(model)
    assert sizes is not None, "it was just made"
    task = Training(
        rows=Rows(len(batch), batch[0].length, sum(row.scored for row in batch)),
        device=device,
        bfloat16=device == "cuda",
        rank=shape.rank,
        checkpointing=True,
    )
    return float(training_memory(sizes, task).total)


def count(model: Path) -> float:
    """Weights that every token meets: all but the input embeddings, which are looked up."""
    from safetensors import safe_open

    total = 0
    for file in model.glob("*.safetensors"):
        with safe_open(str(file), "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (not a mapping)
                size = 1
                for side in weights.get_slice(name).get_shape():
                    size *= side
                total += 0 if "embed_tokens" in name else size
    return float(total)


def talk(shape: Shape) -> tuple[list, list]:
    """Conversations and pairs of about ``tokens`` tokens, as many as the steps need."""
    from benchmarks.training.bench import Shop
    from tratree_cli.models.load import load_tokenizer

    tokenizer = load_tokenizer(templates_dir() / "models" / "tratree-s")
    shop = Shop(random.Random(0))

    def long(most: int) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = []
        length = 0
        while length < most:
            more = shop.episode()
            messages += more
            length += sum(len(tokenizer.encode(one["content"])) for one in more)
        return messages

    number = shape.rows * shape.steps
    episodes = [long(shape.tokens) for _ in range(number)]
    pairs = []
    for _ in range(number // 2):
        pair = shop.pair()
        pairs.append({**pair, "prompt": long(shape.tokens // 2) + pair["prompt"]})
    return episodes, pairs


class Clock:
    """The time that each optimizer step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def __call__(self, done: int, total: int, facts: Mapping[str, float]) -> None:
        self.ends.append(time.monotonic())

    def rate(self, amount: float) -> float:
        """``amount`` a step, per second, over the steps after the warm ones."""
        counted = self.ends[min(WARM, len(self.ends) - 2) :]
        return amount * (len(counted) - 1) / (counted[-1] - counted[0])


def our_sft(model: Path, episodes: list, shape: Shape, folder: Path, device: str) -> float:
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.training.data import sft_rows
    from tratree_cli.training.imitation import train_sft
    from tratree_cli.training.params import LoraParams, SFTParams

    rows, report = sft_rows(load_tokenizer(model), episodes)
    config = SFTParams(
        batch_size=shape.rows, max_steps=shape.steps, checkpoint_every=0, device=device,
        lora=LoraParams(r=shape.rank, alpha=2 * shape.rank, merge=False),
        save_dtype="bfloat16", gradient_checkpointing=True,
    )  # fmt: skip
    clock = Clock()
    train_sft(model, rows, config, folder / "o", folder / "w", clock, {"name": str(model)})
    return clock.rate(report.tokens / len(rows) * shape.rows)


def our_dpo(model: Path, pairs: list, shape: Shape, folder: Path, device: str) -> float:
    """Pairs a second, the reference's scores included."""
    from tratree_cli.formats.pairs import PairMessages
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.training.data import pair_rows
    from tratree_cli.training.params import DPOParams, LoraParams
    from tratree_cli.training.preference import train_dpo
    from tratree_cli.training.reference import reference_logps, with_reference

    config = DPOParams(
        batch_size=shape.rows // 2, max_steps=shape.steps, checkpoint_every=0, device=device,
        lora=LoraParams(r=shape.rank, alpha=2 * shape.rank, merge=False),
        save_dtype="bfloat16", gradient_checkpointing=True,
    )  # fmt: skip
    plain, _ = pair_rows(load_tokenizer(model), [PairMessages(**pair) for pair in pairs])
    started = time.monotonic()
    rows = with_reference(plain, reference_logps(model, plain, config=config))
    scoring = (time.monotonic() - started) / len(plain)
    clock = Clock()
    train_dpo(model, rows, config, folder / "o", folder / "w2", clock, base={"name": str(model)})
    return 1 / (1 / clock.rate(config.batch_size) + scoring)


def plain_sft(model: Path, episodes: list, shape: Shape, folder: Path, device: str) -> float:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    from tratree_cli.models.load import load_model, load_tokenizer
    from tratree_cli.training.data import sft_rows

    tokens = sft_rows(load_tokenizer(model), episodes)[1].tokens / len(episodes) * shape.rows
    trainer = SFTTrainer(
        model=load_model(model, dtype_on(device)),
        args=SFTConfig(**plain_options(folder, shape, device, shape.rows)),
        train_dataset=Dataset.from_dict({"messages": episodes}),
        processing_class=load_tokenizer(model),
        peft_config=adapter(shape),
    )
    return timed(trainer, tokens)


def plain_dpo(model: Path, pairs: list, shape: Shape, folder: Path, device: str) -> float:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    from tratree_cli.models.load import load_model, load_tokenizer

    trainer = DPOTrainer(
        model=load_model(model, dtype_on(device)),
        ref_model=load_model(model, dtype_on(device)),
        args=DPOConfig(**plain_options(folder, shape, device, shape.rows // 2)),
        train_dataset=Dataset.from_list(pairs),
        processing_class=load_tokenizer(model),
        peft_config=adapter(shape),
    )
    return timed(trainer, shape.rows // 2)


def timed(trainer, amount: float) -> float:
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback

    clock = Clock()

    class Ends(TrainerCallback):
        def on_step_end(self, args, state, control, **_) -> None:
            clock(state.global_step, state.max_steps, {})

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Ends())
    trainer.train()
    finish(trainer.args.device.type)
    return clock.rate(amount)


def plain_options(folder: Path, shape: Shape, device: str, rows: int) -> dict:
    """TRL's own defaults, at our batch and precision."""
    shutil.rmtree(folder / "plain", ignore_errors=True)
    return {
        "output_dir": str(folder / "plain"),
        "bf16": device == "cuda",
        "use_cpu": device == "cpu",
        "max_steps": shape.steps,
        "per_device_train_batch_size": rows,
        "max_length": None,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1000,
    }


def adapter(shape: Shape):
    from peft import LoraConfig

    return LoraConfig(
        r=shape.rank,
        lora_alpha=2 * shape.rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def dtype_on(device: str) -> str:
    return "bfloat16" if device == "cuda" else "float32"


def matrix_products(device: str, side: int = 8192, times: int = 20) -> float:
    """Operations a second of a large bfloat16 matrix product: what can be had at all."""
    import torch

    side = side if device == "cuda" else 256
    one = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(times):
        finish(device)
        started = time.monotonic()
        one @ one
        finish(device)
        best = min(best, time.monotonic() - started)
    return 2 * side**3 / best

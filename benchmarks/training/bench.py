"""Our training against the plain TRL script it replaces: same rows, same model, one run, as ratios.

python -m benchmarks.training.bench [--conversations 32] [--width 128]
python -m benchmarks.training.bench --start [--times 5]

The plain scripts are what TRL's documentation shows, with its defaults (gradient checkpointing
included); ``no ckpt`` switches only that off. CPU-seconds of ``train()`` alone, one thread; the
last lines are fresh processes from nothing to their end, in turns (medians): the imports of a
training, and a whole training of one step (``tratree sft`` with its store and its artifact, against
a script that trains and saves). ``--start`` measures only those; on a GPU see
``benchmarks.gpu``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from transformers.trainer_callback import PrinterCallback

from tratree_cli.formats.pairs import PairMessages
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.resources import templates_dir
from tratree_cli.training import trainer_args
from tratree_cli.training.data import pair_rows, sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import DPOParams, SFTParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=32)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--start", action="store_true", help="only what starting costs")
    parser.add_argument("--times", type=int, default=5, help="fresh processes of each kind")
    options = parser.parse_args()
    if not options.start:
        on_cpu(options.conversations, options.width)
    compare_start(options.times)
    return 0


def on_cpu(conversations: int, width: int) -> None:
    with tempfile.TemporaryDirectory() as scratch, silence_libraries(), devices.threads(1):
        folder = Path(scratch)
        model = make_model(folder / "model", width)
        shop = Shop(random.Random(0))
        episodes = [shop.episode() for _ in range(conversations)]
        pairs = [shop.pair() for _ in range(conversations // 2)]
        compare_sft(model, episodes, folder)
        compare_dpo(model, pairs, folder)


class Shop:
    """Conversations of the length and shape of a small shop's."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def page(self) -> str:
        words = ["red", "blue", "cotton", "wooden", "large", "small", "shirt", "lamp", "chair"]
        items = [
            f"b0{self.rng.randrange(1000)} [SEP] {' '.join(self.rng.sample(words, 4))} [SEP] "
            f"${self.rng.randrange(90)}.00"
            for _ in range(self.rng.randrange(2, 7))
        ]
        return "Observation:\nPage 1 [SEP] Next > [SEP] " + " [SEP] ".join(items)

    def turn(self) -> list[dict[str, str]]:
        said = f"Thought: this fits.\nAction: click[b0{self.rng.randrange(1000)}]"
        return [{"role": "assistant", "content": said}]

    def episode(self) -> list[dict[str, str]]:
        messages: list[dict[str, str]] = []
        for _ in range(self.rng.randrange(2, 6)):
            messages += [{"role": "user", "content": self.page()}, *self.turn()]
        return messages

    def pair(self) -> dict[str, list[dict[str, str]]]:
        history = [*self.episode(), {"role": "user", "content": self.page()}]
        ends = [
            [*self.turn(), {"role": "user", "content": self.page()}, *self.turn()] for _ in range(2)
        ]
        return {"prompt": history, "chosen": ends[0], "rejected": ends[1]}


def make_model(folder: Path, width: int) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = load_tokenizer(templates_dir() / "models" / "tratree-s")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=4,
        num_attention_heads=width // 32,
        num_key_value_heads=width // 32,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def seconds(work) -> float:
    """CPU-seconds of ``work``."""
    start = time.process_time()
    work()
    return time.process_time() - start


def ours(train) -> float:
    """CPU-seconds that ``engine.run`` took inside ``train``."""
    spent: list[float] = []
    run = trainer_args.run

    def timed(*arguments):
        start = time.process_time()
        result = run(*arguments)
        spent.append(time.process_time() - start)
        return result

    trainer_args.run = timed
    try:
        train()
    finally:
        trainer_args.run = run
    return spent[0]


def plain_options(folder: Path, checkpointing: bool) -> dict:
    return {
        "output_dir": str(folder),
        "use_cpu": True,
        "bf16": False,
        "num_train_epochs": 1,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-3,
        "max_length": None,
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_steps": 1000,
        **({} if checkpointing else {"activation_checkpointing": False}),
    }


def compare_sft(model: Path, episodes: list, folder: Path) -> None:
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows, report = sft_rows(load_tokenizer(model), episodes)
    config = SFTParams(learning_rate=1e-3, batch_size=8, checkpoint_every=0)
    spent = ours(lambda: train_sft(model, rows, config, folder / "o", folder / "w"))
    print(f"sft  tratree        {report.tokens / spent:9.0f} tokens/s")
    for checkpointing in (True, False):
        trainer = SFTTrainer(
            model=load_model(model),
            args=SFTConfig(**plain_options(folder / "plain", checkpointing)),
            train_dataset=Dataset.from_dict({"messages": episodes}),
            processing_class=load_tokenizer(model),
        )
        trainer.remove_callback(PrinterCallback)
        theirs = seconds(trainer.train)
        name = "plain TRL" if checkpointing else "plain, no ckpt"
        print(f"sft  {name:<14} {report.tokens / theirs:9.0f} tokens/s   x{theirs / spent:.2f}")


def compare_dpo(model: Path, pairs: list, folder: Path) -> None:
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    plain, _ = pair_rows(load_tokenizer(model), [PairMessages(**pair) for pair in pairs])
    scoring = time.process_time()
    rows = with_reference(plain, reference_logps(model, plain))
    scoring = time.process_time() - scoring
    config = DPOParams(learning_rate=1e-4, batch_size=8, checkpoint_every=0)
    spent = ours(lambda: train_dpo(model, rows, config, folder / "o2", folder / "w2")) + scoring
    print(f"dpo  tratree        {len(pairs) / spent:9.2f} pairs/s (reference scores included)")
    for checkpointing in (True, False):
        trainer = DPOTrainer(
            model=load_model(model),
            ref_model=load_model(model),
            args=DPOConfig(**plain_options(folder / "plain", checkpointing)),
            train_dataset=Dataset.from_list(pairs),
            processing_class=load_tokenizer(model),
        )
        trainer.remove_callback(PrinterCallback)
        theirs = seconds(trainer.train)
        name = "plain TRL" if checkpointing else "plain, no ckpt"
        print(f"dpo  {name:<14} {len(pairs) / theirs:9.2f} pairs/s   x{theirs / spent:.2f}")


PLAIN_STEP = """
from datasets import load_dataset
from trl import SFTConfig, SFTTrainer

trainer = SFTTrainer(
    model="model",
    args=SFTConfig(
        output_dir="plain", use_cpu=True, bf16=False, max_steps=1, per_device_train_batch_size=8,
        max_length=None, report_to="none", disable_tqdm=True, save_strategy="no",
    ),
    train_dataset=load_dataset("json", data_files="demos.jsonl", split="train"),
)
trainer.train()
trainer.save_model("plain/model")
"""
OUR_STEP = (
    "sft --demos demos.jsonl --model model --set sft.lora_r=0 --set sft.batch_size=8 "
    "--set sft.epochs=1 --set sft.max_length=2048 --force --no-stdin"
)


def compare_start(times: int) -> None:
    """Medians over fresh processes, the two kinds in turns: a shared machine is never the same."""
    python = sys.executable
    kinds = {
        "imports": {
            "tratree": [python, "-c", "import tratree_cli.training.imitation"],
            "plain TRL": [
                python,
                "-c",
                "from trl import SFTTrainer, SFTConfig; from datasets import Dataset",
            ],
        },
        "one step": {
            "tratree": [python, "-m", "tratree_cli.app", *OUR_STEP.split()],
            "plain TRL": [python, "-c", PLAIN_STEP],
        },
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make_model(folder / "model", 128)
        shop = Shop(random.Random(0))
        lines = [json.dumps({"messages": shop.episode()}) + "\n" for _ in range(8)]
        (folder / "demos.jsonl").write_text("".join(lines))
        for kind, commands in kinds.items():
            spent: dict[str, list[float]] = {name: [] for name in commands}
            for _ in range(times):
                for name, command in commands.items():
                    spent[name].append(cpu(command, folder))
            theirs = statistics.median(spent["plain TRL"])
            for name, found in spent.items():
                middle = statistics.median(found)
                print(
                    f"{kind:<9} {name:<10} {middle:6.2f} CPU-s (least {min(found):.2f}) "
                    f"x{theirs / middle:.2f}",
                    flush=True,
                )


def cpu(command: list[str], folder: Path) -> float:
    """CPU-seconds of a process and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        command, cwd=folder, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=3600
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    raise SystemExit(main())

"""Training by trees against rows and against plain TRL: one run, CPU seconds, ratios.

python -m benchmarks.training.tree_packing [--width 128] [--quick | --ratios 1,2,8 | --long]

Trees are made: a trunk, branches of equal length and pairs of their ends, so that flat tokens over
distinct tokens (the sharing ratio) is what was asked for. ``rows`` is our own trainer with
``tree_packing=off``, batches by length; ``TRL`` its DPO trainer as documented with a live
reference. A step is forward, backward and optimizer; ``whole`` has the reference's scores and the
first margins too, as ``train-strong`` makes them. ``--long`` is one task of ten trajectories below
a prompt of 1,401 tokens, as long as ``eto-example`` is. One thread.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

from benchmarks.training.bench import make_model
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import PairRow
from tratree_cli.training.params import DPOParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference
from tratree_cli.training.tree_packing import depth_first
from tratree_cli.training.tree_packing.decision import decide, sharing_in_batches
from tratree_cli.training.tree_packing.forward import row_log_probs
from tratree_cli.training.tree_packing.trie import build_tries

HEAD = f"{'ratio':>6} {'auto':>5} {'scores':>7} {'step':>6} {'whole':>6} {'TRL step':>9} whole"
WORDS = 1000
BATCH = 16
END = 24
"""Tokens of each continuation, all of them the agent's."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--quick", action="store_true", help="fewer sizes")
    parser.add_argument("--ratios", type=numbers, help="these sharing ratios and nothing else")
    parser.add_argument("--long", action="store_true", help="the long prompt and nothing else")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, silence_libraries(), devices.threads(1):
        folder = Path(scratch)
        model = make_model(folder / "model", options.width)
        if options.ratios or options.long:
            by_ratio(model, options.ratios or (), folder)
            if options.long:
                print(HEAD, compared(model, long_prompt(), folder), sep="\n", flush=True)
            return 0
        by_ratio(model, (1, 2, 8) if options.quick else (1, 1.3, 2, 3, 5, 8, 12, 20), folder)
        by_size(model, (1000, 8000) if options.quick else (1000, 4000, 16000, 64000, 100000))
    return 0


def pairs_of_ratio(ratio: float, steps: int) -> list[PairRow]:
    """``BATCH`` pairs a step; each step's pairs are one tree whose rows share a trunk.

    With R rows of a trunk t and an end e, flat is R(t + e) and distinct t + Re. Without a trunk
    (ratio 1) rows are as long as those of ratio 2.
    """
    rng = random.Random(0)
    rows = 2 * BATCH
    wanted = max(ratio, 1.0)
    trunk = round(rows * END * (wanted - 1) / max(rows - wanted, 1))
    made = []
    for step in range(steps):
        shared = [rng.randrange(WORDS) for _ in range(trunk)]
        for _ in range(BATCH):
            alone = [] if trunk else [rng.randrange(WORDS) for _ in range(END)]
            ends = [[rng.randrange(WORDS) for _ in range(END)] for _ in range(2)]
            if not trunk:
                # Nothing is shared within the pair either: the sides have prompts of their own.
                ends = [[rng.randrange(WORDS) for _ in alone] + end for end in ends]
            mask = [0] * (len(ends[0]) - END) + [1] * END
            made.append(
                PairRow(shared, ends[0], ends[1], mask, mask, str(len(made)), tree=str(step))
            )
    return made


def by_ratio(model: Path, ratios: Sequence[float], folder: Path) -> None:
    """The step, the scores and the whole, as a function of the sharing ratio."""
    if ratios:
        print(HEAD)
    for ratio in ratios:
        print(compared(model, pairs_of_ratio(ratio, 4), folder), flush=True)


def long_prompt(trajectories: int = 10) -> list[PairRow]:
    """Two steps' pairs of one task under a long prompt, the trajectories parting at any turn."""
    rng = random.Random(2)

    def words(count: int) -> list[int]:
        return [rng.randrange(WORDS) for _ in range(count)]

    prompt = words(1401)
    # Turns of an observation and an answer; each trajectory leaves an earlier one somewhere.
    told = [[(words(40), words(12)) for _ in range(8)]]
    for _ in range(trajectories - 1):
        kept = rng.choice(told)[: rng.randrange(8)]
        told.append([*kept, *((words(40), words(12)) for _ in range(8 - len(kept)))])
    made = []
    for one, other in list(combinations(told, 2))[: 2 * BATCH]:
        parted = next(n for n, (a, b) in enumerate(zip(one, other, strict=True)) if a != b)
        history = [w for seen, said in one[:parted] for w in seen + said]
        (ours, our_mask), (theirs, their_mask) = (scored(side[parted:]) for side in (one, other))
        # Both begin with the answer: what is observed first belongs to the prompt of both.
        made.append(
            PairRow(prompt + history, ours, theirs, our_mask, their_mask, str(len(made)), tree="0")
        )
    return made


def scored(turns: Sequence[tuple[list[int], list[int]]]) -> tuple[list[int], list[int]]:
    """Token ids and masks of turns, the first of which begins with its answer."""
    ids, mask = [*turns[0][1]], [1] * len(turns[0][1])
    for seen, said in turns[1:]:
        ids += seen + said
        mask += [0] * len(seen) + [1] * len(said)
    return ids, mask


def compared(model: Path, rows: list[PairRow], folder: Path) -> str:
    """A line of ratios: rows and TRL against trees."""
    config = DPOParams(epochs=1, batch_size=BATCH, checkpoint_every=0, group_by_length=True)
    found: dict[str, float] = {}
    for name, by_trees in (("rows", False), ("trees", True)):
        given = rows
        seconds, logps = timed(lambda r=rows, b=by_trees: reference_logps(model, r, by_trees=b))
        found[f"{name} scores"] = seconds
        given = with_reference(rows, logps)
        mode = replace(config, tree_packing="on" if by_trees else "off")
        found[f"{name} step"] = step_seconds(model, given, mode, folder)
    found["TRL step"] = plain_seconds(model, rows, folder)
    shared = sharing_in_batches(rows, BATCH).ratio
    auto = bool(decide(replace(config, tree_packing="auto"), rows, load_model(model)))
    whole = {n: found[f"{n} scores"] + found[f"{n} step"] for n in ("rows", "trees")}
    return (
        f"{shared:6.2f} {'tree' if auto else 'rows':>5} "
        f"{found['rows scores'] / found['trees scores']:6.2f}x "
        f"{found['rows step'] / found['trees step']:5.2f}x "
        f"{whole['rows'] / whole['trees']:5.2f}x "
        f"{found['TRL step'] / found['trees step']:8.2f}x "
        f"{found['TRL step'] / whole['trees']:.2f}x"
    )


def numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split(",")))


def by_size(model: Path, sizes: Sequence[int]) -> None:
    """CPU microseconds a distinct token: forward and backward over one tree of so many tokens."""
    rng = random.Random(1)
    print(f"{'tokens':>7} {'at once':>10} {'depth first':>12}  (microseconds a distinct token)")
    policy = load_model(model).train()
    from tratree_cli.training.tree_packing import segments

    segments.register()
    policy.set_attn_implementation(segments.NAME)
    for size in sizes:
        rows = tree_rows(rng, size)
        tries = build_tries(rows)
        unique = sum(map(len, tries))
        scored = [[0] * (len(row) - END) + [1] * END for row in rows]
        spent = []
        for at_once in (1 << 40, 0):
            # An implementation's own limit, so that both are measured at every size.
            depth_first.AT_ONCE = at_once

            def once(tries: Any = tries, scored: Any = scored) -> None:
                policy.zero_grad()
                (-sum(logp.mean() for logp in row_log_probs(policy, tries, scored))).backward()

            spent.append(timed(once)[0] / unique * 1e6)
        print(f"{unique:7d} {spent[0]:10.0f} {spent[1]:12.0f}", flush=True)


def tree_rows(rng: random.Random, size: int) -> list[list[int]]:
    """Rows of at most 400 tokens that branch from each other, ``size`` distinct tokens in all."""
    rows = [[rng.randrange(WORDS) for _ in range(300)]]
    made = 300
    while made < size:
        base = rng.choice(rows[-8:])
        keep = rng.randrange(100, 300)
        end = [rng.randrange(WORDS) for _ in range(100)]
        rows.append(base[:keep] + end)
        made += len(end)
    return rows


def step_seconds(model: Path, rows: list[PairRow], config: DPOParams, folder: Path) -> float:
    """CPU seconds of the training's steps, of which the start has no part."""
    ends: list[float] = []
    train_dpo(
        model,
        rows,
        config,
        folder / "out",
        folder / f"work-{config.tree_packing}",
        lambda done, total, facts: ends.append(time.process_time()),
    )
    # The first step is where an allocator and the check of a shape are paid for.
    return (ends[-1] - ends[0]) / (len(ends) - 1) * len(ends)


def plain_seconds(model: Path, rows: list[PairRow], folder: Path, batch: int = BATCH) -> float:
    """The same rows with TRL's own trainer, its defaults and a live reference."""
    from datasets import Dataset
    from transformers import TrainerCallback
    from transformers.trainer_callback import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    class Rows(DPOTrainer):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
            return dataset

    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    trainer = Rows(
        model=load_model(model),
        ref_model=load_model(model),
        args=DPOConfig(
            output_dir=str(folder / "plain"), per_device_train_batch_size=batch, use_cpu=True,
            num_train_epochs=1, save_strategy="no", report_to="none", disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict({n: [getattr(row, n) for row in rows] for n in names}),
        processing_class=load_tokenizer(model),
    )  # fmt: skip
    ends: list[float] = []

    class Ends(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.process_time())

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Ends())
    trainer.train()
    return (ends[-1] - ends[0]) / (len(ends) - 1) * len(ends)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


if __name__ == "__main__":
    raise SystemExit(main())

"""Training by trees (FlexAttention) against rows, on pairs of one tree, five tokens flat to one.

LoRA in bfloat16 with activation checkpointing off, so that both ways keep what they compute. A toy
takes segments, as a CPU does.
"""

from __future__ import annotations

import random
from dataclasses import replace

from benchmarks.gpu.context import Context, Shape, make_model, peak_bytes, reset_peak
from benchmarks.gpu.training import Clock
from tratree_cli.training.data import PairRow
from tratree_cli.training.params import DPOParams, LoraParams
from tratree_cli.training.preference import train_dpo
from tratree_cli.training.reference import reference_logps, with_reference

PAIRS = 4
"""Pairs a step, all of one tree."""
END = 64
"""Tokens of each continuation, all of them the agent's."""


def one(context: Context) -> dict[str, float]:
    return measure(context, context.one)


def seven(context: Context) -> dict[str, float]:
    return measure(context, context.seven)


def measure(context: Context, shape: Shape) -> dict[str, float]:
    """Pairs a second and peak memory both ways, their ratio, and that the losses agree."""
    model = make_model(context.folder / f"model-{shape.name}", shape, context.device)
    end, trunk, steps = (4, 24, 3) if context.toy else (END, 700, 6)
    rows = pairs(trunk, end, steps)
    config = DPOParams(
        batch_size=PAIRS, epochs=1, checkpoint_every=0, device=context.device,
        save_dtype="bfloat16", lora=LoraParams(r=shape.rank, alpha=2 * shape.rank, merge=False),
    )  # fmt: skip
    rows = with_reference(rows, reference_logps(model, rows, config=config))
    found: dict[str, float] = {}
    first = {}
    for name, mode in (("rows", "off"), ("trees", "on")):
        reset_peak(context.device)
        clock = Clock()
        chosen = replace(config, tree_packing=mode)
        out, work = context.folder / "out", context.folder / f"work-{shape.name}-{mode}"
        result = train_dpo(model, rows, chosen, out, work, clock, base={"name": str(model)})
        assert mode == "off" or result.sharing is not None, f"not packed: {result.remarks}"
        found[f"{name}_pairs_per_second"] = clock.rate(PAIRS)
        found[f"{name}_peak_bytes"] = peak_bytes(context.device)
        first[name] = result.curves["loss"][0][1]
    difference = abs(first["rows"] - first["trees"])
    assert difference < 0.05, f"the first losses differ by {difference:.2g}"
    return {
        **found,
        "times_rows": found["trees_pairs_per_second"] / found["rows_pairs_per_second"],
        "first_losses_differ_by": difference,
    }


def pairs(trunk: int, end: int, steps: int) -> list[PairRow]:
    """``PAIRS`` pairs a step; each step's are one tree with a trunk of ``trunk`` tokens."""
    rng = random.Random(0)
    made = []
    for step in range(steps):
        shared = [rng.randrange(1000) for _ in range(trunk)]
        for _ in range(PAIRS):
            sides = [[rng.randrange(1000) for _ in range(end)] for _ in range(2)]
            mask = [1] * end
            made.append(PairRow(shared, *sides, mask, mask, str(len(made)), tree=str(step)))
    return made

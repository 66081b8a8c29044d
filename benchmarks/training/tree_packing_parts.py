"""What of a DPO step shrinks with sharing: CPU milliseconds of the layers and of all the rest.

python -m benchmarks.training.tree_packing_parts [--ratios 1,2,8] [--width 128] [--times 3]

The layers are computed once a distinct token; head, loss, optimizer and loader follow the scored
tokens and the rows, which a tree does not reduce. ``bound`` is the most that a step could gain if
the layers cost as much a distinct token as they cost a token of the rows. One thread, one run.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from benchmarks.training.bench import make_model
from benchmarks.training.tree_packing import BATCH, numbers, pairs_of_ratio, step_seconds
from tratree_cli.models import devices
from tratree_cli.models.library_logging import silence_libraries
from tratree_cli.models.load import load_model
from tratree_cli.training.params import DPOParams
from tratree_cli.training.tree_packing.decision import sharing_in_batches

STEPS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--ratios", type=numbers, default=(1.0, 2.0, 8.0))
    parser.add_argument("--times", type=int, default=3, help="runs of each way, in turns")
    options = parser.parse_args()
    print(f"{'ratio':>6} {'rows: layers':>13} rest {'trees: layers':>14} rest {'gain':>6} bound")
    with tempfile.TemporaryDirectory() as scratch, silence_libraries(), devices.threads(1):
        folder = Path(scratch)
        model = make_model(folder / "model", options.width)
        for ratio in options.ratios:
            rows = [
                replace(row, ref_chosen_logps=-100.0, ref_rejected_logps=-100.0)
                for row in pairs_of_ratio(ratio, STEPS)
            ]
            shared = sharing_in_batches(rows, BATCH).ratio
            turns = [
                [a_step(model, rows, mode, folder) for mode in ("off", "on")]
                for _ in range(options.times)
            ]
            # The least of what was measured in turns: other work only ever adds.
            (layers, rest), (packed, other) = (
                min(way, key=sum) for way in zip(*turns, strict=True)
            )
            print(
                f"{shared:6.2f} {layers:13.1f} {rest:4.1f} {packed:14.1f} {other:4.1f} "
                f"{(layers + rest) / (packed + other):5.2f}x "
                f"{(layers + rest) / (layers / shared + rest):.2f}x",
                flush=True,
            )
    return 0


def a_step(model: Path, rows: Any, mode: str, folder: Path) -> tuple[float, float]:
    """CPU milliseconds of a step: the layers, forward and backward, and the rest."""
    config = DPOParams(epochs=1, batch_size=BATCH, checkpoint_every=0, group_by_length=True)
    with layers_timed(type(load_model(model).base_model)) as spent:
        whole = step_seconds(model, rows, replace(config, tree_packing=mode), folder)
    # As in the whole, the first step is left out.
    layers = sum(spent[1:]) / (STEPS - 1)
    return layers * 1e3, (whole / STEPS - layers) * 1e3


@contextmanager
def layers_timed(kind: Any) -> Iterator[list[float]]:
    """CPU seconds of each forward pass with gradients through ``kind``, and of its backward pass.

    Backward begins at the hidden states when their gradient is known and ends with the call.
    """
    spent: list[float] = []
    begun: list[float] = []
    forward, backward = kind.forward, torch.autograd.backward

    def timed_forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        start = time.process_time()
        found = forward(self, *args, **kwargs)
        if found.last_hidden_state.requires_grad:
            spent.append(time.process_time() - start)
            found.last_hidden_state.register_hook(lambda _: begun.append(time.process_time()))
        return found

    def timed_backward(*args: Any, **kwargs: Any) -> Any:
        found = backward(*args, **kwargs)
        spent[-1] += time.process_time() - begun[-1]
        return found

    kind.forward, torch.autograd.backward = timed_forward, timed_backward
    try:
        yield spent
    finally:
        kind.forward, torch.autograd.backward = forward, backward


if __name__ == "__main__":
    raise SystemExit(main())

"""Checks whose answer differs on a GPU: the merge of an adapter, attention kernels, the tests."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context, SkippedError, finish, make_model
from benchmarks.gpu.training import talk
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.training.data import sft_rows
from tratree_cli.training.imitation import train_sft
from tratree_cli.training.params import LoraParams, SFTParams

STEPS = 4
AGREE = 1e-3
"""Logits of the merged model against base and adapter, relative to the largest logit."""
KERNELS = 0.05
"""Logits of one attention kernel against another in bfloat16, likewise."""


def bf16_merge(context: Context) -> dict[str, Any]:
    """An adapter trained beside a base in bfloat16 is in the merged model, at the paper's rate."""
    shape = replace(context.one, rows=2, steps=STEPS)
    model = make_model(context.folder / f"model-{shape.name}", shape, context.device)
    rows, _ = sft_rows(load_tokenizer(model), talk(shape)[0])
    results = {}
    for merge in (True, False):
        config = SFTParams(
            learning_rate=1e-5, batch_size=2, max_steps=STEPS, checkpoint_every=0,
            lora=LoraParams(r=shape.rank, alpha=2 * shape.rank, merge=merge),
            dtype="bfloat16", device=context.device,
        )  # fmt: skip
        out = context.folder / f"merged-{merge}"
        results[merge] = train_sft(
            model, rows, config, out, context.folder / "w", base={"name": str(model)}
        )
    kept = results[True].update_kept
    apart, whole = (load_model(context.folder / f"merged-{merge}") for merge in (False, True))
    difference = largest_difference(apart, whole, rows[0].input_ids[:256])
    assert kept["float32"] > 0.99, f"float32 keeps only {kept['float32']:.0%} of the update"
    assert difference < AGREE, f"merged and apart differ by {difference:.2g}"
    return {
        "update_kept_float32": kept["float32"],
        "update_kept_bfloat16": kept["bfloat16"],
        "merged_against_apart": difference,
    }


def attention(context: Context) -> dict[str, Any]:
    """SDPA and flash attention against eager: logits, and how long a pass takes."""
    import torch

    shape = context.one
    model = make_model(context.folder / f"model-{shape.name}", shape, context.device)
    kinds = ["eager", "sdpa"]
    found: dict[str, Any] = {}
    if importlib.util.find_spec("flash_attn") is not None and not context.toy:
        kinds.append("flash_attention_2")
    else:
        found["flash_attention_2"] = "skipped: flash_attn is not installed or this is a toy"
    ids = torch.randint(100, (2, 64 if context.toy else 2048), device=context.device)
    truth: torch.Tensor | None = None
    for kind in kinds:
        network = load_model(model, "bfloat16", kind).to(context.device)
        with torch.inference_mode():
            network(input_ids=ids)
            finish(context.device)
            started = time.monotonic()
            logits = network(input_ids=ids).logits.float()
            finish(context.device)
        found[f"{kind}_seconds"] = time.monotonic() - started
        if truth is None:
            truth = logits
            continue
        difference = float((logits - truth).abs().max() / truth.abs().max())
        found[f"{kind}_against_eager"] = difference
        assert difference < KERNELS, f"{kind} differs from eager by {difference:.2g}"
    return found


def tests(context: Context) -> dict[str, Any]:
    """The tests that need a CUDA device."""
    if context.toy:
        raise SkippedError("the tests marked gpu need a CUDA device")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout.strip().splitlines() or ["pytest said nothing"])[-1]
    assert done.returncode == 0, said
    return {"pytest": said}


def largest_difference(first: Any, second: Any, ids: list[int]) -> float:
    """Of the logits of two models, relative to the largest logit."""
    import torch

    with torch.inference_mode():
        one, two = (m(input_ids=torch.tensor([ids])).logits.float() for m in (first, second))
    return float((one - two).abs().max() / one.abs().max())

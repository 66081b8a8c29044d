"""The local engine against plain ``generate``: new tokens a second, and memory against forecast.

Conversations of several turns with one long prompt, as WebShop's are; the engine in both ways of
reading (``explore.reading``). ``generate`` reads the whole
history at every turn, one conversation at a time and all in one batch (``rollouts.loops``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.context import Context, finish, make_model, peak_bytes, reset_peak
from benchmarks.rollouts.loops import Generating
from tratree_cli.agents.local.policy import LocalPolicy
from tratree_cli.agents.policy import Opening, Turn
from tratree_cli.models.memory import Playing, playing_memory
from tratree_cli.models.shapes import folder_shape

WORDS = "Page 1 of 9. B0123 red cotton shirt with long sleeves, large, $19.99. "


def smollm2(context: Context) -> dict[str, float]:
    """SmolLM2 as it is published; the embedded model stands for it in a toy."""
    if context.toy:
        from tratree_cli.resources import templates_dir

        return measure(templates_dir() / "models" / "tratree-s", context)
    return measure(context.real("smollm2"), context)


def seven(context: Context) -> dict[str, float]:
    shape = context.seven
    return measure(
        make_model(context.folder / f"model-{shape.name}", shape, context.device), context
    )


def measure(model: Path, context: Context) -> dict[str, float]:
    """Tokens a second of the three ways, and how often the engine is as fast as the others."""
    rows, turns, new, prompt = (3, 2, 4, 4) if context.toy else (32, 4, 48, 60)
    longest = 300 if context.toy else 3000
    found: dict[str, float] = {}
    reset_peak(context.device)
    engine = LocalPolicy(model, device=context.device, max_context=longest, max_new_tokens=new)
    found["engine"] = speed(engine, rows, turns, prompt, context.device)
    sizes = folder_shape(model)
    assert sizes is not None, "it is a Llama"
    # On a GPU every row of the cache has as many columns as the longest needed.
    task = Playing(rows, rows * longest, longest // 2, context.device, bfloat16=not context.toy)
    forecast = playing_memory(sizes, task).total
    peak = peak_bytes(context.device)
    del engine
    reset_peak(context.device)
    shared = LocalPolicy(
        model, device=context.device, max_context=longest, max_new_tokens=new, reading="shared"
    )
    found["shared"] = speed(shared, rows, turns, prompt, context.device)
    del shared
    for name, at_once, count in (("one_by_one", 1, 2), ("batched", rows, rows)):
        reset_peak(context.device)
        plain = Generating(str(model), at_once, new, context.device)
        found[name] = speed(plain, count, turns, prompt, context.device)
        del plain
    return {
        **{f"{name}_tokens_per_second": value for name, value in found.items()},
        "times_one_by_one": found["engine"] / found["one_by_one"],
        "times_batched": found["engine"] / found["batched"],
        "shared_times_one_by_one": found["shared"] / found["one_by_one"],
        "shared_times_batched": found["shared"] / found["batched"],
        "forecast_bytes": float(forecast),
        **({"peak_bytes": peak, "forecast_over_peak": forecast / peak} if peak else {}),
    }


def speed(policy: Any, rows: int, turns: int, prompt: int, device: str) -> float:
    """New tokens a second over ``turns`` turns of ``rows`` conversations; one before warms up."""
    played(policy, 1, 1, prompt)
    finish(device)
    started = time.monotonic()
    tokens = played(policy, rows, turns, prompt)
    finish(device)
    return tokens / (time.monotonic() - started)


def played(policy: Any, rows: int, turns: int, prompt: int) -> int:
    """Play, and count what was sampled."""
    slots = range(rows)
    prefix = [
        {"role": "user", "content": WORDS * prompt},
        {"role": "assistant", "content": "Action: search[shirt]"},
    ]
    setting = {"temperature": 1.0}
    policy.begin([Opening(slot, seed=slot, setting=setting, prefix=prefix) for slot in slots])
    tokens = 0
    for turn in range(turns):
        text = WORDS * max(1, prompt // 12)
        policy.submit([Turn(slot, f"{slot}, {turn}: {text}") for slot in slots])
        waiting = rows
        while waiting:
            replies = policy.collect()
            waiting -= len(replies)
            assert all(reply.end is None for reply in replies), "a conversation outgrew its limit"
            tokens += sum(len(reply.tokens) for reply in replies)
    policy.finish(slots)
    return tokens

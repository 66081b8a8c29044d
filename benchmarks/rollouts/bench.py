"""Episodes and tokens per CPU second: the engine against the usual loop and batched ``generate``.

    OMP_NUM_THREADS=1 python -m benchmarks.rollouts.bench [--episodes 32] [--steps 8] [--json]

All contenders play the same tasks with the same model, rules and environment in one run; figures
are process CPU seconds, which other load on the machine does not touch (wall time it does). The
one-by-one loop plays fewer episodes, since its cost per episode is constant.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.rollouts.loops import Generating
from benchmarks.rollouts.subject import SIZES, Acting, Pages, make_model
from tratree_cli.agents.local import LocalPolicy
from tratree_cli.agents.policy import Policy
from tratree_cli.agents.rollout import EpisodeRequest, Progress, play


def measure(name: str, policy: Policy, arguments: argparse.Namespace, count: int) -> dict[str, Any]:
    """Play ``count`` episodes once to warm up (two of them) and once to measure."""
    environment = Pages(arguments.steps, arguments.page)
    acting = Acting(policy)
    play(environment, acting, [EpisodeRequest("w", seed=n) for n in range(2)], batch=2)
    last = Progress()

    def keep(now: Progress) -> None:
        nonlocal last
        last = now

    requests = [EpisodeRequest(str(number), seed=number) for number in range(count)]
    cpu, wall = time.process_time(), time.perf_counter()
    play(environment, acting, requests, batch=arguments.batch, progress=keep)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "name": name,
        "episodes": count,
        "episodes_per_cpu_s": count / cpu,
        "tokens_per_cpu_s": last.tokens / cpu,
        "tokens_per_s": last.tokens / wall,
        "environment_share": last.environment_seconds / wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--episodes", type=int, default=32)
    parser.add_argument("--alone", type=int, default=4, help="episodes of the one-by-one loop")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--page", type=int, default=60, help="words of an observation")
    parser.add_argument("--max-new-tokens", type=int, default=24)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = str(make_model(Path(folder), arguments.size))
        tokens, device = arguments.max_new_tokens, arguments.device
        rows = [
            measure(
                "engine",
                LocalPolicy(model, max_new_tokens=tokens, max_context=8192, device=device),
                arguments,
                arguments.episodes,
            ),
            measure(
                "generate, batched",
                Generating(model, arguments.batch, tokens, device),
                arguments,
                arguments.episodes,
            ),
            measure(
                "generate, one by one",
                Generating(model, 1, tokens, device),
                arguments,
                arguments.alone,
            ),
        ]
    for row in rows:
        row["slower"] = rows[0]["episodes_per_cpu_s"] / row["episodes_per_cpu_s"]
    if arguments.json:
        print(json.dumps({"settings": vars(arguments), "rows": rows}))
        return
    print(f"{'':22}{'episodes/cpu-s':>15}{'tokens/cpu-s':>14}{'peak MB':>9}{'engine is':>11}")
    for row in rows:
        print(
            f"{row['name']:22}{row['episodes_per_cpu_s']:15.2f}{row['tokens_per_cpu_s']:14.0f}"
            f"{row['peak_mb']:9.0f}{row['slower']:10.1f}x"
        )
    print(f"environment: {100 * rows[0]['environment_share']:.1f} % of the engine's time")


if __name__ == "__main__":
    sys.exit(main())

"""Episodes and tokens per CPU second: the engine against the usual loop and batched ``generate``.

    OMP_NUM_THREADS=1 python -m benchmarks.rollouts.bench [--part compare|samples|steps]
        [--contender engine|batched|alone] [--json]

All contenders play in one run, with the same model, tasks, rules and environment, each in a process
of its own, so that peak memory is its own too. Figures are process CPU seconds, which other load on
the machine changes little (wall time it changes a lot). The one-by-one loop plays fewer episodes,
since its cost per episode does not depend on their number; so ratios are of tokens per CPU second.

* ``compare``: the embedded model tratree-s in WebShop's embedded catalogue, all contenders;
* ``samples``: growth with M on 16 tasks, all episodes alive at once;
* ``steps``: growth with the length of an episode.

The last two use random weights and pages of a fixed number of words (``subject.py``), so that only
what is named grows.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.rollouts.subject import Acting, Pages, make_model

ENGINE, BATCHED, ALONE = "engine", "generate, batched", "generate, one by one"
NAMES = {"engine": ENGINE, "batched": BATCHED, "alone": ALONE}


@dataclass(frozen=True)
class Case:
    """One contender at one size; ``place`` is ``webshop`` or ``pages``."""

    part: str
    name: str
    place: str
    model: str
    episodes: int
    batch: int
    steps: int = 8
    page: int = 60
    max_new_tokens: int = 24
    max_context: int = 8192
    device: str = "cpu"


def measure(case: Case) -> dict[str, Any]:
    """Play two episodes to warm up, then the case's; in the process that calls this."""
    from tratree_cli.agents.local.policy import LocalPolicy
    from tratree_cli.agents.policy import Policy
    from tratree_cli.agents.rollout import EpisodeRequest, RolloutProgress, play

    environment, tasks, prompt = place(case)
    tokens, context = case.max_new_tokens, case.max_context
    policy: Policy
    if case.name == ENGINE:
        policy = LocalPolicy(
            case.model, max_new_tokens=tokens, max_context=context, device=case.device
        )
    else:
        from benchmarks.rollouts.loops import Generating

        policy = Generating(case.model, case.batch, tokens, case.device)
    if case.place == "pages":
        policy = Acting(policy)
    play(environment, policy, [EpisodeRequest(t, seed=7) for t in tasks[:2]], prompt=prompt)
    before = peak_mb()
    last = RolloutProgress()

    def keep(now: RolloutProgress) -> None:
        nonlocal last
        last = now

    requests = [EpisodeRequest(task, seed=number) for number, task in enumerate(tasks)]
    cpu, wall = time.process_time(), time.perf_counter()
    play(environment, policy, requests, prompt=prompt, batch=case.batch, progress=keep)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        **asdict(case),
        "cpu_s": cpu,
        "episodes_per_cpu_s": case.episodes / cpu,
        "tokens_per_cpu_s": last.tokens / cpu,
        "tokens_per_s": last.tokens / wall,
        "steps_played": last.steps,
        "environment_share": last.environment_seconds / wall,
        "peak_mb": peak_mb(),
        "grown_mb": peak_mb() - before,
    }


def place(case: Case) -> tuple[Any, list[str], list[dict[str, str]]]:
    """The environment, its tasks, and the messages before an episode."""
    if case.place == "pages":
        return Pages(case.steps, case.page), [str(n) for n in range(case.episodes)], []
    from tratree_cli.config import load_recipe
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.stages.environments import environment_spec, prompt_folder, read_prompt

    config = load_recipe("quick")
    environment = open_environment(environment_spec(config))
    tasks = list(environment.splits()["train"])[: case.episodes]
    return environment, tasks, read_prompt(prompt_folder(config))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cases(arguments: argparse.Namespace, weights: str) -> Iterator[Case]:
    parts, count, device = arguments.part, arguments.episodes, arguments.device
    if "compare" in parts:
        from tratree_cli.resources import templates_dir

        shop: dict[str, Any] = {
            "part": "compare",
            "place": "webshop",
            "model": str(templates_dir() / "models" / "tratree-s"),
            "max_new_tokens": 96,
            "max_context": 1024,
            "device": device,
        }
        yield Case(name=ENGINE, episodes=count, batch=count, **shop)
        yield Case(name=BATCHED, episodes=count, batch=count, **shop)
        yield Case(name=ALONE, episodes=arguments.alone, batch=1, **shop)
        yield Case(name=ENGINE, episodes=2 * count, batch=2 * count, **shop)
    pages: dict[str, Any] = {"place": "pages", "model": weights, "device": device}
    if "samples" in parts:
        for samples in (1, 2, 4, 8):
            size = {"episodes": 16 * samples, "batch": 16 * samples}
            yield Case("samples", ENGINE, **size, **pages)
            if samples in (1, 4):
                yield Case("samples", BATCHED, **size, **pages)
    if "steps" in parts:
        for steps in (4, 8, 16):
            yield Case("steps", ENGINE, episodes=24, batch=24, steps=steps, **pages)
            yield Case("steps", BATCHED, episodes=24, batch=24, steps=steps, **pages)
            yield Case("steps", ALONE, episodes=2, batch=1, steps=steps, **pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = ("compare", "samples", "steps")
    parser.add_argument("--part", choices=known, action="append", help="default: all")
    parser.add_argument("--episodes", type=int, default=128, help="of compare, all at once")
    parser.add_argument("--alone", type=int, default=8, help="episodes of the one-by-one loop")
    parser.add_argument(
        "--contender", choices=NAMES, action="append", help="only these (the engine always plays)"
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="JSON lines")
    arguments = parser.parse_args()
    arguments.part = arguments.part or list(known)
    wanted = {ENGINE, *(NAMES[name] for name in arguments.contender or NAMES)}
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        pages = {"samples", "steps"} & set(arguments.part)
        weights = str(make_model(Path(folder), "small")) if pages else ""
        part, engine = "", {}
        for case in cases(arguments, weights):
            if case.name not in wanted:
                continue
            with context.Pool(1) as pool:
                row = pool.apply(measure, (case,))
            size = (row["part"], row["steps"], row["episodes"] if case.part == "samples" else 0)
            if case.name == ENGINE:
                engine.setdefault(size, row["tokens_per_cpu_s"])
            row["engine_is"] = engine[size] / row["tokens_per_cpu_s"]
            if arguments.json:
                print(json.dumps(row), flush=True)
                continue
            if case.part != part:
                part = case.part
                print(f"\n{part:26}{'episodes':>9}{'steps':>7}", end="")
                print(f"{'ep/cpu-s':>10}{'tok/cpu-s':>11}{'peak MB':>9}{'grown':>7}{'engine':>9}")
            print(f"  {row['name']:24}{row['episodes']:9}{row['steps_played']:7}", end="")
            print(f"{row['episodes_per_cpu_s']:10.2f}{row['tokens_per_cpu_s']:11.0f}", end="")
            print(f"{row['peak_mb']:9.0f}{row['grown_mb']:7.0f}{row['engine_is']:8.1f}x", end="")
            print(f"  environment {100 * row['environment_share']:.1f} %", flush=True)


if __name__ == "__main__":
    sys.exit(main())

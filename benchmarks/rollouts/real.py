"""A published model on ten-turn WebShop episodes with the long prompt: engine against ``generate``.

    OMP_NUM_THREADS=1 python -m benchmarks.rollouts.real MODEL [--episodes 16] [--at-once 8]
        [--alone 1] [--turns 10] [--tokens 40] [--contender shared] [--json]

The pages are real ones: a random agent has walked through the shop and every contender is shown
what it saw, whatever it answers, so all of them read the same texts. The prompt is ``eto-example``
(with SmolLM2 1,401 tokens). Each contender plays in a process of its own; figures are CPU seconds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.rollouts.bench import peak_mb
from benchmarks.rollouts.subject import Acting, Pages, PagesEpisode

SHARED, EACH = "engine, shared beginning", "engine, each reads it"
BATCHED, ALONE = "generate, batched", "generate, one by one"
CONTENDERS = {"shared": SHARED, "each": EACH, "batched": BATCHED, "alone": ALONE}


@dataclass(frozen=True)
class Size:
    """What is played: ``episodes`` of ``turns`` turns, ``at_once`` of them at the same time."""

    model: str
    episodes: int
    at_once: int
    turns: int
    tokens: int
    device: str = "cpu"


class Recorded(Pages):
    """WebShop as a random agent saw it: ``turns`` observations for each task."""

    def __init__(self, size: Size) -> None:
        super().__init__(size.turns, 0)
        self.prompt, self.seen = recorded(size)

    def episode(self, task: str) -> PagesEpisode:
        return _Shown(task, self.steps, 0, pages=self.seen[int(task)])


@dataclass
class _Shown(PagesEpisode):
    pages: Sequence[str] = ()

    def _page(self) -> str:
        return self.pages[self.taken % len(self.pages)]


def recorded(size: Size) -> tuple[list[dict[str, str]], list[list[str]]]:
    """The prompt, and the observations of each episode."""
    from tratree_cli.agents.registry import open_policy
    from tratree_cli.agents.rollout import EpisodeRequest, play_episodes
    from tratree_cli.config import load_recipe
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.stages.environments import environment_spec, prompt_folder, read_prompt

    config = load_recipe("small")
    shop = open_environment(environment_spec(config))
    tasks = list(shop.splits()["train"])[: size.episodes]
    played = play_episodes(
        shop,
        open_policy("random", options={}, batch=1),
        [EpisodeRequest(task, seed=number) for number, task in enumerate(tasks)],
    )
    prompt = [dict(message) for message in read_prompt(prompt_folder(config))]
    return prompt, [list(episode.observations) for episode in played]


def measure(name: str, size: Size) -> dict[str, Any]:
    """Play the episodes of one contender, in the process that calls this."""
    from tratree_cli.agents.local.policy import LocalPolicy
    from tratree_cli.agents.policy import Policy
    from tratree_cli.agents.rollout import EpisodeRequest, RolloutProgress, play

    shop = Recorded(size)
    episodes, at_once = size.episodes, size.at_once
    policy: Policy
    if name in (SHARED, EACH):
        reading = "shared" if name == SHARED else "each"
        limits = {"max_new_tokens": size.tokens, "max_context": 8192, "device": size.device}
        policy = LocalPolicy(size.model, reading=reading, **limits)
    else:
        from benchmarks.rollouts.loops import Generating

        at_once = 1 if name == ALONE else at_once
        policy = Generating(size.model, at_once, size.tokens, size.device)
    last = RolloutProgress()

    def keep(now: RolloutProgress) -> None:
        nonlocal last
        last = now
        seconds = time.process_time() - cpu
        print(f"{name}: {now.steps} turns, {now.tokens} tokens, {seconds:.1f} s", file=sys.stderr)

    before, cpu, wall = peak_mb(), time.process_time(), time.perf_counter()
    requests = [EpisodeRequest(str(number), seed=number) for number in range(episodes)]
    play(shop, Acting(policy), requests, prompt=shop.prompt, batch=at_once, progress=keep)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "name": name,
        "episodes": episodes,
        "at_once": at_once,
        "turns": last.steps,
        "tokens": last.tokens,
        "cpu_s": cpu,
        "episodes_per_cpu_s": episodes / cpu,
        "tokens_per_cpu_s": last.tokens / cpu,
        "tokens_per_s": last.tokens / wall,
        "peak_mb": peak_mb(),
        "grown_mb": peak_mb() - before,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="a model's folder")
    parser.add_argument("--episodes", type=int, default=16)
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--alone", type=int, default=1, help="episodes of the one-by-one loop")
    parser.add_argument("--batched", type=int, default=8, help="episodes of the batched loop")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--tokens", type=int, default=40, help="the longest answer")
    parser.add_argument("--contender", choices=CONTENDERS, action="append", help="default: all")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true", help="JSON lines")
    given = parser.parse_args()
    counts = {ALONE: given.alone, BATCHED: given.batched}
    context = multiprocessing.get_context("spawn")
    first = 0.0
    for key in given.contender or CONTENDERS:
        name = CONTENDERS[key]
        episodes = counts.get(name, given.episodes)
        size = Size(
            given.model,
            episodes,
            min(given.at_once, episodes),
            given.turns,
            given.tokens,
            given.device,
        )
        with context.Pool(1) as pool:
            row = pool.apply(measure, (name, size))
        first = first or row["episodes_per_cpu_s"]
        row["first_is"] = first / row["episodes_per_cpu_s"]
        if given.json:
            print(json.dumps(row), flush=True)
            continue
        print(
            f"{row['name']:26}{row['episodes']:4} episodes{row['turns']:5} turns"
            f"{row['tokens']:7} tokens{row['cpu_s']:8.1f} CPU s"
            f"{row['tokens_per_cpu_s']:8.2f} tokens a CPU s{row['peak_mb']:7.0f} MB"
            f"{row['grown_mb']:7.0f} grown{row['first_is']:7.2f}x",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())

"""What a search is worth under noise: e* against the best observed trajectory, replayed.

    OMP_NUM_THREADS=1 python -m benchmarks.trees.noise --out noise.jsonl [--tasks 200] [--seeds 3]

The embedded WebShop with products out of stock or noisy scores is explored by the expert, which
takes an available action at random in a share of its turns (``--errors``). Of each task one
trajectory is chosen: e* as it is and led to leaves that were walked twice, the best observed, and
(as a bound) the best of all recorded ones. What a choice is worth is the mean G of its actions,
played again under ``--draws`` other seeds. Cells that stand in ``--out`` are not computed again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.policy import Opening, Turn
from tratree_cli.agents.rollout import play
from tratree_cli.agents.sampling_plan import episode_seed
from tratree_cli.agents.scripted import Agent, ScriptedPolicy, agent_output, expert_agent
from tratree_cli.embedding.similarity import TextSimilarity
from tratree_cli.envs.protocol import begin_episode
from tratree_cli.envs.registry import open_environment
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import Rollouts, TextTable, Trajectory
from tratree_cli.trees.build import MergePolicy, build_forest
from tratree_cli.trees.search.api import best_observed, search
from tratree_cli.trees.search.comparison import compared_with_best

NOISE: Mapping[str, Mapping[str, float]] = {
    "none": {},
    "score 0.1": {"score_noise": 0.1},
    "score 0.3": {"score_noise": 0.3},
    "score 0.5": {"score_noise": 0.5},
    "stock 0.2": {"out_of_stock": 0.2},
    "stock 0.4": {"out_of_stock": 0.4},
    "stock 0.2, score 0.3": {"out_of_stock": 0.2, "score_noise": 0.3},
}
M = (3, 6, 10)
CHOICES = ("best observed", "mean", "min_walks 2", "max", "best recorded")


@dataclass(frozen=True)
class Exploration:
    """Trajectories of all tasks, the samples of a task side by side; ``worth`` replays one."""

    found: Sequence[Trajectory]
    texts: TextTable
    samples: int
    worth: Callable[[int], float]


def erring(errors: float) -> Callable[[Opening], Agent]:
    """The expert with a share of its turns replaced by any available action."""

    def make(opening: Opening) -> Agent:
        expert, draw = expert_agent(opening), np.random.default_rng(opening.seed)

        def act(turn: Turn) -> str:
            meant, actions = expert(turn), turn.available()
            if draw.random() >= errors or not actions:
                return meant
            return agent_output("", actions[int(draw.integers(len(actions)))])

        return act

    return make


def explored(
    noise: str, tasks: int, seed: int, errors: float, draws: int, environment: Any
) -> Exploration:
    """``max(M)`` episodes of each task, and what any of them is worth."""
    samples = max(M)
    names = environment.splits()["train"][:tasks]
    requests = [
        EpisodeRequest(task, i, seed=episode_seed(seed, task, i, {}, f"noise {noise}"))
        for task in names
        for i in range(samples)
    ]
    found, texts = play(environment, ScriptedPolicy(erring(errors)), requests)

    @cache
    def replayed(task: str, actions: tuple[str, ...]) -> float:
        scores = []
        for draw in range(draws):
            replay_seed = episode_seed(seed, task, draw, {}, f"replay {noise}")
            episode = begin_episode(environment, task, replay_seed)
            episode.reset()
            outcome = None
            for action in actions:
                outcome = episode.step(action)
                if outcome.done:
                    break
            scores.append(outcome.score if outcome else 0.0)
        return float(np.mean(scores))

    def worth(number: int) -> float:
        trajectory = found[number]
        return replayed(trajectory.task, tuple(texts[action] for action in trajectory.actions))

    return Exploration(found, texts, samples, worth)


def measured(exploration: Exploration, m: int, merge: str) -> dict[str, Any]:
    """The choices of one cell: what each was seen to score, and what it is worth, by task."""
    numbers = [n for n in range(len(exploration.found)) if n % exploration.samples < m]
    rollouts = Rollouts(exploration.texts, [exploration.found[n] for n in numbers])
    columns = columns_from_rollouts(rollouts)
    similarity = TextSimilarity(exploration.texts.texts) if merge == "similar" else None
    forest = build_forest(columns, MergePolicy(merge, 0.95), similarity)
    results = {
        "mean": search(forest),
        "min_walks 2": search(forest, min_walks=2),
        "max": search(forest, select="max"),
    }
    worth = [exploration.worth(n) for n in numbers]
    by_task = np.array(worth).reshape(-1, m)
    chosen = {
        "best observed": best_observed(forest),
        **{select: result.best_trajectory for select, result in results.items()},
        "best recorded": by_task.argmax(1) + np.arange(len(by_task)) * m,
    }
    compared = compared_with_best(results["mean"])
    return {
        "uneven": compared.uneven,
        "below": compared.below,
        "other_words": compared.other_words,
        "worth": {name: [worth[n] for n in picks.tolist()] for name, picks in chosen.items()},
        "seen": {name: float(columns.score[picks].mean()) for name, picks in chosen.items()},
    }


def run(out: Path, tasks: int, seeds: int, errors: float, draws: int, merge: str) -> None:
    """Compute the cells that ``out`` lacks, a line each."""
    settings = {"tasks": tasks, "errors": errors, "draws": draws, "merge": merge}
    known = {cell_name(cell) for cell in read(out) if settings.items() <= cell.items()}
    for noise, seed in product(NOISE, range(seeds)):
        cells: list[dict[str, Any]] = [
            {**settings, "noise": noise, "seed": seed, "m": m} for m in M
        ]
        missing = [cell for cell in cells if cell_name(cell) not in known]
        if not missing:
            continue
        environment = open_environment("webshop", "embedded", dict(NOISE[noise]))
        exploration = explored(noise, tasks, seed, errors, draws, environment)
        for cell in missing:
            values = measured(exploration, cell["m"], merge)
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**cell, **values}) + "\n")


def read(out: Path) -> list[dict[str, Any]]:
    """The whole lines of the file; one that a killed run left is passed over."""
    if not out.exists():
        return []
    lines = out.read_text("utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def cell_name(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(cell[name] for name in ("noise", "seed", "m"))


def show(out: Path, settings: Mapping[str, Any]) -> None:
    """One line a cell, seeds together; differences with 95 % intervals over tasks."""
    cells = [cell for cell in read(out) if settings.items() <= cell.items()]
    print(
        "| noise | M | uneven | other words | seen | best observed | e* | difference "
        "| e*, min_walks 2 | difference | best recorded |\n" + 11 * "|---" + "|"
    )
    for noise, m in product(NOISE, M):
        here = [cell for cell in cells if (cell["noise"], cell["m"]) == (noise, m)]
        if not here:
            continue
        worth = {name: np.array([c["worth"][name] for c in here]) * 100 for name in CHOICES}
        trees = worth["mean"].size
        gains = {
            name: difference(worth[name], worth["best observed"])
            for name in ("mean", "min_walks 2")
        }
        shares = [100 * sum(c[name] for c in here) / trees for name in ("uneven", "other_words")]
        seen = 100 * np.mean([c["seen"]["best observed"] for c in here])
        means = {name: values.mean() for name, values in worth.items()}
        print(
            f"| {noise} | {m} | {shares[0]:.0f} % | {shares[1]:.0f} % | {seen:.1f} "
            f"| {means['best observed']:.1f} | {means['mean']:.1f} | {gains['mean']} "
            f"| {means['min_walks 2']:.1f} | {gains['min_walks 2']} "
            f"| {means['best recorded']:.1f} |"
        )


def difference(one: Any, other: Any) -> str:
    """Mean difference of two choices, ``[seeds, tasks]``, with its 95 % interval over tasks."""
    gain = (one - other).mean(0)
    return f"{gain.mean():+.1f} ± {1.96 * gain.std(ddof=1) / len(gain) ** 0.5:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--errors", type=float, default=0.2)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--merge", choices=("exact", "similar"), default="exact")
    given = vars(parser.parse_args())
    run(**given)
    show(given["out"], {name: given[name] for name in ("tasks", "errors", "draws", "merge")})


if __name__ == "__main__":
    main()

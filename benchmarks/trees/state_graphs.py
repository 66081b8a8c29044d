"""State graphs in figures: what joining histories adds to trees, and what stitching finds.

    OMP_NUM_THREADS=1 python -m benchmarks.trees.state_graphs [--env webshop,alfworld] [--tasks 100]
    OMP_NUM_THREADS=1 python -m benchmarks.trees.state_graphs --rollouts FOLDER...

Without ``--rollouts`` training tasks are explored by the expert, which takes an available action at
random in a share of its turns (``--errors``); a folder is that of a rollouts or tree artifact
(``tratree store show REF`` names it). Equal observations are joined, no similar ones. Prints a row
of a table for each exploration.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.trees.noise import erring
from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.agents.rollout import play
from tratree_cli.agents.sampling_plan import episode_seed
from tratree_cli.agents.scripted import ScriptedPolicy
from tratree_cli.envs.protocol import Environment
from tratree_cli.envs.registry import lasting_effect_of, open_environment
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import Rollouts, read_rollouts
from tratree_cli.stages.stitch import stitched
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.graph_pairs import mine_graph
from tratree_cli.trees.join_states import build_state_graph
from tratree_cli.trees.progress import graph_figures, tree_progress
from tratree_cli.trees.search.api import best_observed

COLUMNS = (
    "exploration", "tasks × M", "nodes", "states", "by several histories", "returns",
    "contradictions", "progress of failed, tree", "graph", "none of successful, tree", "graph",
    "pairs, tree", "graph", "imperfect", "stitched: plays", "better", "best observed", "with them",
)  # fmt: skip


def explored(environment: Environment, tasks: int, samples: int, errors: float) -> Rollouts:
    """``samples`` episodes of each task by the erring expert."""
    names = environment.splits()["train"][:tasks]
    requests = [
        EpisodeRequest(task, i, seed=episode_seed(0, task, i, {}, "state graphs"))
        for task in names
        for i in range(samples)
    ]
    found, texts = play(environment, ScriptedPolicy(erring(errors)), requests)
    return Rollouts(texts, found, environment=environment.spec.key())


def row(name: str, environment: Environment, rollouts: Rollouts, tries: int) -> list[str]:
    """The figures of one exploration, in the order of ``COLUMNS``."""
    columns, texts = columns_from_rollouts(rollouts), rollouts.texts
    lasts = lasting_effect_of(environment.spec.name)
    lasting = None if lasts is None else lambda action: action >= 0 and lasts(texts[action])
    forest, graph = build_forest(columns), build_state_graph(columns, lasting=lasting)
    figures, progress = graph_figures(graph), tree_progress(forest)
    found = stitched(environment, rollouts, tries)
    chosen = best_observed(forest)
    best = columns.score[chosen[chosen >= 0]]
    shares = (
        progress.of_failed,
        figures["failed_steps_in_progress"],
        progress.idle_of_successful,
        figures["successful_steps_without"],
    )
    pairs = (len(mine(forest, select="all")), len(mine_graph(graph, forest, select="all")))
    return [
        name,
        f"{len(best)} × {len(columns) / max(len(best), 1):.0f}",
        *(f"{figure:,}" for figure in (len(forest), len(graph))),
        *(f"{figures[key]:,}" for key in ("several_histories", "returns", "contradictions")),
        *(f"{share:.1%}" for share in shares),
        *(f"{count:,}" for count in pairs),
        f"{int((best < 1).sum())}",
        f"{len(found.played)}",
        f"{len(found.better)}",
        f"{100 * best.mean():.2f}",
        f"{100 * (best.sum() + np.sum(found.gains)) / len(best):.2f}",
    ]


def rows(arguments: argparse.Namespace) -> Iterator[list[str]]:
    for folder in arguments.rollouts:
        rollouts = read_rollouts(folder)
        about = rollouts.environment
        environment = open_environment(str(about["name"]), parameters=about["parameters"])
        yield row(
            f"{about['name']}, {folder.resolve().parent.name[:8]}",
            environment,
            rollouts,
            arguments.tries,
        )
        environment.close()
    for name in filter(None, arguments.env.split(",") if not arguments.rollouts else ()):
        environment = open_environment(name)
        made = explored(environment, arguments.tasks, arguments.samples, arguments.errors)
        yield row(f"{name}, errors {arguments.errors:g}", environment, made, arguments.tries)
        environment.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", default="webshop,alfworld")
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--errors", type=float, default=0.2)
    parser.add_argument("--tries", type=int, default=5)
    parser.add_argument("--rollouts", type=Path, nargs="*", default=[])
    arguments = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * (len(COLUMNS) - 1))
    for figures in rows(arguments):
        print("| " + " | ".join(figures) + " |", flush=True)


if __name__ == "__main__":
    main()

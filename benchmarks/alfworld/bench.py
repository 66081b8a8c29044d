"""Steps per CPU second of the engine beside the original's, and differences between them.

    python -m benchmarks.alfworld.bench speed [--data DIR] [--games 6] [--steps 40]
    python -m benchmarks.alfworld.bench differential [--data DIR] [--games 60] [--steps 40]

Without ``--data`` households are generated, of all six types and in both editions. ``speed`` plays
the same commands in both engines; the original is measured as it is delivered, without the
shortcuts that the comparison of texts takes. Without ``pip install tratree[alfworld]`` only ours is
measured. Figures are CPU seconds of this process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.alfworld.original_engine import compare
from tratree_cli.envs.alfworld.engine import Play
from tratree_cli.envs.alfworld.folder import game_files
from tratree_cli.envs.alfworld.gamefile import read_game
from tratree_cli.envs.alfworld.house import House
from tratree_cli.envs.alfworld.households.files import write_game
from tratree_cli.envs.alfworld.households.household import SIZES, draw_household
from tratree_cli.envs.alfworld.households.inventory import SEEN, UNSEEN
from tratree_cli.envs.alfworld.households.tasks import TYPES
from tratree_cli.envs.alfworld.logic import GRAMMARS


def generated(folder: Path, number: int) -> list[Path]:
    """Games of all types, sizes and editions."""
    sizes = list(SIZES)
    return [
        write_game(
            folder,
            draw_household(f"bench/{i}", SEEN + UNSEEN, TYPES[i % 6], sizes[i // 6 % len(sizes)]),
            GRAMMARS[i // 6 % 2],
            f"trial_{i}",
            i,
        )
        for i in range(number)
    ]


def differential(games: list[Path], steps: int) -> dict[str, Any]:
    """Random and expert play of every game in both engines."""
    counts: Counter[str] = Counter()
    shown: list[str] = []
    for number, game in enumerate(games, 1):
        for policy in ("random", "expert"):
            result = compare(game, policy, steps)
            counts[f"{policy} steps"] += result.steps
            counts["differences"] += len(result.differences)
            counts["won by the expert"] += result.won and policy == "expert"
            shown += [f"{game}: {text[:400]}" for text in result.differences[:2]]
        counts["games"] = number
        print(json.dumps({**counts, "shown": shown[-2:]}), flush=True)
    return dict(counts)


def speed(games: list[Path], steps: int) -> dict[str, Any]:
    """Random admissible commands, the same in both engines."""
    ours: Counter[str] = Counter()
    theirs: Counter[str] = Counter()
    for game in games:
        began = time.process_time()
        play = Play(House(read_game(game)))
        ours["load"] += time.process_time() - began  # type: ignore[assignment]
        rng = random.Random(str(game))
        script = []
        for _ in range(steps):
            script.append(rng.choice(play.commands()))
            play.step(script[-1])
        for offered in (False, True):
            began = time.process_time()
            for _ in range(20):
                play.reset()
                for command in script:
                    play.step(command)
                    if offered:
                        play.commands()
            name = "steps with commands" if offered else "steps"
            ours[name] += (time.process_time() - began) / 20  # type: ignore[assignment]
        _original(game, script, theirs)
    number = len(games) * steps
    found: dict[str, Any] = {
        "games": len(games),
        "steps": number,
        "load ms": round(1e3 * ours["load"] / len(games), 2),
        "steps/s": round(number / ours["steps"]),
        "steps/s with commands": round(number / ours["steps with commands"]),
    }
    if theirs:
        found |= {
            "original load ms": round(1e3 * theirs["load"] / len(games)),
            "original steps/s": round(number / theirs["steps"], 1),
            "ratio of steps, both with commands": round(
                theirs["steps"] / ours["steps with commands"]
            ),
            "ratio of loads": round(theirs["load"] / ours["load"]),
        }
    return found


def _original(game: Path, script: list[str], times: Counter[str]) -> None:
    """The original as delivered: it lists the admissible commands at every step in any case."""
    try:
        environments: Any = importlib.import_module("textworld.envs.pddl")
        naming: Any = importlib.import_module("alfworld.agents.environment.alfred_tw_env")
        core: Any = importlib.import_module("textworld.core")
    except ImportError:
        return
    began = time.process_time()
    wanted = core.EnvInfos(admissible_commands=True, won=True)
    environment = naming.AlfredDemangler()(environments.PddlEnv(wanted))
    environment.load(str(game))
    environment.reset()
    times["load"] += time.process_time() - began  # type: ignore[assignment]
    began = time.process_time()
    for command in script:
        environment.step(command)
    times["steps"] += time.process_time() - began  # type: ignore[assignment]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["speed", "differential"])
    parser.add_argument("--data", help="folder with game files; else games are generated")
    parser.add_argument("--games", type=int, default=6)
    parser.add_argument("--steps", type=int, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.data:
            every = game_files(options.data)
            games = every[:: max(1, len(every) // options.games)][: options.games]
        else:
            games = generated(Path(folder), options.games)
        run = speed if options.what == "speed" else differential
        print(json.dumps(run(games, options.steps), indent=2))


if __name__ == "__main__":
    main()

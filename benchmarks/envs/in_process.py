"""Steps a CPU second and memory an episode of the adapters in a trainer's own process.

    python -m benchmarks.envs.in_process [--environment webshop] [--data DIR] [--steps 20000]

Random available actions, ended episodes begun again, the choosing of actions left out of the time.
The first line is the engine's session without any adapter. ``--processes`` plays in so many
processes at once and adds their steps per second of wall clock, for a quiet machine. For ALFWorld
the same commands are played in TextWorld's ``PddlEnv`` as well where it is installed
(``tratree[alfworld]``).
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

from tratree_cli.envs.agent_episode import AgentEpisode
from tratree_cli.errors import InputError
from tratree_cli.interop.opening import shared_environment

Row = dict[str, Any]
Offered = Sequence[Sequence[str]]


def engine_alone(name: str, data: str, steps: int) -> tuple[int, float]:
    """Steps and CPU seconds of episodes as the environment itself gives them."""
    environment, draw, spent, done = shared_environment(name, data), Random(0), 0.0, 0
    tasks = environment.splits()["train"]
    while done < steps:
        task = draw.choice(tasks)
        began = time.process_time()
        episode = environment.episode(task)
        episode.reset()
        spent += time.process_time() - began
        for _ in range(15):
            began = time.process_time()
            actions = episode.available_actions()
            spent += time.process_time() - began
            action = draw.choice(list(actions) or [""])
            began = time.process_time()
            over = episode.step(action).done
            spent += time.process_time() - began
            done += 1
            if over:
                break
    return done, spent


def played(
    reset: Callable[[], Offered], step: Callable[[list[str]], Offered], count: int, steps: int
) -> tuple[int, float]:
    """Steps and CPU seconds of ``count`` episodes that take their turns together."""
    draw, spent, done = Random(0), 0.0, 0
    began = time.process_time()
    offered = reset()
    spent += time.process_time() - began
    while done < steps:
        actions = [draw.choice(list(one)) if len(one) else "x" for one in offered]
        began = time.process_time()
        offered = step(actions)
        spent += time.process_time() - began
        done += count
    return done, spent


def vector(name: str, data: str, count: int, steps: int) -> tuple[int, float]:
    """gymnasium's vector environment."""
    from tratree_cli.interop.gymnasium_vector import TextVectorEnv

    envs = TextVectorEnv(name, count, data=data)
    return played(
        lambda: envs.reset(seed=0)[1]["available_actions"],
        lambda actions: envs.step(actions)[4]["available_actions"],
        count,
        steps,
    )


def verl_agent_webshop(data: str, count: int, steps: int) -> tuple[int, float]:
    """verl-agent's WebShop: 15 steps, then all begin again."""
    from tratree_cli.envs.webshop.files import data_files
    from tratree_cli.interop.verl_agent import build_webshop_envs

    kwargs: dict[str, Any] = {}
    if data != "embedded":
        products, attributes, _ = data_files(Path(data))
        kwargs = {"file_path": str(products), "attr_path": str(attributes)}
    envs = build_webshop_envs(0, count // 8, 8, is_train=True, env_kwargs=kwargs)
    turn = 0

    def offered(infos: Sequence[Row]) -> Offered:
        return [
            [f"click[{name}]" for name in info["available_actions"]["clickables"]]
            + ["search[red shirt]"] * info["available_actions"]["has_search_bar"]
            for info in infos
        ]

    def step(actions: list[str]) -> Offered:
        nonlocal turn
        turn += 1
        return offered(envs.step(actions)[3] if turn % 15 else envs.reset()[1])

    return played(lambda: offered(envs.reset()[1]), step, count, steps)


def verl_agent_alfworld(count: int, steps: int) -> tuple[int, float]:
    """verl-agent's ALFWorld on the embedded households: 50 steps, then all begin again."""
    from tratree_cli.interop.verl_agent import build_alfworld_envs

    envs = build_alfworld_envs(None, 0, count // 8, 8)
    turn = 0

    def step(actions: list[str]) -> Offered:
        nonlocal turn
        turn += 1
        if turn % 50 == 0:
            envs.reset()
        else:
            envs.step(actions)
        return envs.get_admissible_commands

    return played(lambda: [i["admissible_commands"] for i in envs.reset()[2]], step, count, steps)


def bytes_per_episode(name: str, data: str, count: int) -> int:
    """What Python allocates for an episode that is three steps old, pages that it has seen left
    out (they are shared); ``count`` of them, after as many others."""
    environment, draw = shared_environment(name, data), Random(0)
    tasks = environment.splits()["train"][:50]

    def begun() -> AgentEpisode:
        episode = AgentEpisode(environment, draw.choice(tasks))
        episode.reset()
        for _ in range(3):
            if not episode.state or episode.state.done:
                break
            episode.step(draw.choice(episode.available_actions() or [""]))
        return episode

    warm = [begun() for _ in range(count)]
    gc.collect()
    tracemalloc.start()
    kept = [begun() for _ in range(count)]
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return grown // len(kept) if warm else 0


def line(what: str, result: tuple[int, float]) -> Row:
    done, spent = result
    return {"what": what, "steps": done, "steps_per_cpu_second": round(done / spent)}


def in_one_process(name: str, data: str, steps: int) -> list[Row]:
    """All measurements of one environment but those on several processes."""
    rows = [line("engine alone", engine_alone(name, data, steps))]
    for count in (1, 64, 1024):
        row = f"gymnasium vector of {count}"
        try:
            rows.append(line(row, vector(name, data, count, steps)))
        except ImportError as error:
            rows.append({"what": row, "skipped": str(error)})
    if name == "webshop":
        rows.append(line("verl-agent, 256", verl_agent_webshop(data, 256, steps)))
    if name == "alfworld" and data == "embedded":
        rows.append(line("verl-agent, 256", verl_agent_alfworld(256, steps)))
    rows.append({"what": "bytes an episode", "bytes": bytes_per_episode(name, data, 1000)})
    return rows


def wall_worker(name: str, data: str, steps: int, results: Any, start: Any) -> None:
    """Steps and wall seconds of a vector of 64, begun when all processes are ready."""
    from tratree_cli.interop.gymnasium_vector import TextVectorEnv

    envs, draw = TextVectorEnv(name, 64, data=data), Random(0)
    _, told = envs.reset(seed=0)
    start.wait()
    began, done = time.monotonic(), 0
    while done < steps:
        actions = [draw.choice(one) if one else "x" for one in told["available_actions"]]
        _, _, _, _, told = envs.step(actions)
        done += 64
    results.put((done, time.monotonic() - began))


def on_processes(name: str, data: str, steps: int, processes: int) -> Row:
    """Steps per second of wall clock of several processes together, choosing included."""
    context = multiprocessing.get_context("spawn")
    results, start = context.Queue(), context.Barrier(processes)
    workers = [
        context.Process(target=wall_worker, args=(name, data, steps, results, start))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    measured = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    total = sum(done / seconds for done, seconds in measured)
    return {"what": f"{processes} processes, wall clock", "steps_per_second": round(total)}


def against_textworld(steps: int) -> Row:
    """The same commands of generated games in TextWorld's engine and in ours."""
    from benchmarks.alfworld.bench import generated, speed

    with tempfile.TemporaryDirectory() as folder:
        try:
            return {"what": "beside TextWorld", **speed(generated(Path(folder), 6), steps)}
        except InputError as error:
            return {"what": "beside TextWorld", "skipped": str(error)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--environment", default="webshop")
    parser.add_argument("--data", default="embedded")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    rows = in_one_process(chosen.environment, chosen.data, chosen.steps)
    if chosen.processes:
        rows.append(on_processes(chosen.environment, chosen.data, chosen.steps, chosen.processes))
    if chosen.environment == "alfworld":
        rows.append(against_textworld(40))
    for row in rows:
        print(json.dumps(row) if chosen.json else "  ".join(f"{k} {v}" for k, v in row.items()))


if __name__ == "__main__":
    main()

"""Steps a second over sockets, and memory a session, of ``tratree env serve``.

    python -m benchmarks.envs.serve [--environment webshop] [--steps 20000] [--json]

Random episodes are recorded in process first; their messages are then sent by a plain client (one
process, no JSON, no library) over 1, 64 and 1,024 connections, each of which waits for an answer
before it sends the next. So what is measured is the server. ``steps a CPU second`` counts the
server's processes alone and is the figure that a busy machine leaves alone; the same steps without
a socket stand in the first line.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tratree_cli.envs.agent_episode import AgentEpisode
from tratree_cli.envs.registry import open_environment

TICKS = os.sysconf("SC_CLK_TCK")
HANDSHAKE = (
    "GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@dataclass(frozen=True)
class Recording:
    """The frames of one episode: a reset and its steps."""

    frames: tuple[bytes, ...]


def record(name: str, episodes: int) -> tuple[list[Recording], float]:
    """Random episodes on the training split, and steps a CPU second in process."""
    environment = open_environment(name)
    draw, recordings, steps, spent = Random(0), [], 0, 0.0
    for number, task in enumerate(environment.splits()["train"][:episodes]):
        frames = [message({"type": "reset", "data": {"index": number, "split": "train"}})]
        began = time.process_time()
        episode = AgentEpisode(environment, task)
        state = episode.reset()
        while not state.done:
            action = draw.choice(episode.available_actions() or [""])
            frames.append(message({"type": "step", "data": {"action": action}}))
            state = episode.step(action)
        episode.available_actions()
        spent += time.process_time() - began
        steps += state.steps
        recordings.append(Recording(tuple(frames)))
    environment.close()
    return recordings, steps / spent


def message(value: object) -> bytes:
    """A WebSocket text frame as a client sends it; a mask of zeros leaves the text as it is."""
    text = json.dumps(value).encode()
    if len(text) < 126:
        return bytes([0x81, 0x80 | len(text)]) + bytes(4) + text
    return bytes([0x81, 0x80 | 126]) + len(text).to_bytes(2, "big") + bytes(4) + text


class Connection:
    """One session that plays recorded episodes over and over."""

    def __init__(self, address: tuple[str, int], recordings: Sequence[Recording], at: int) -> None:
        self.socket = socket.create_connection(address)
        self.socket.sendall(HANDSHAKE.format(host=address[0]).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(4096)
        assert head.startswith(b"HTTP/1.1 101"), head
        self._frames = tuple(
            f for i in range(8) for f in recordings[(at + i) % len(recordings)].frames
        )
        self._next = 0
        self._received = b""

    def send(self) -> None:
        self.socket.sendall(self._frames[self._next])
        self._next = (self._next + 1) % len(self._frames)

    def answered(self) -> bool:
        """Read what is there; whether the answer is complete."""
        self._received += self.socket.recv(1 << 17)
        size, start = self._received[1] if len(self._received) > 1 else 127, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(self._received) < start:
                return False
            size = int.from_bytes(self._received[2:start], "big")
        if len(self._received) < start + size:
            return False
        assert self._received[start : start + 30].find(b'"observation"') > 0, self._received[:200]
        self._received = self._received[start + size :]
        return True


@contextmanager
def server(name: str, workers: int) -> Iterator[tuple[tuple[str, int], list[int]]]:
    """A server, as its address and its processes."""
    command = [sys.executable, "-m", "tratree_cli.app", "env", "serve", name]
    with subprocess.Popen(
        [*command, "--workers", str(workers)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        place = urlsplit(process.stdout.readline().strip())
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        try:
            yield (str(place.hostname), int(place.port or 0)), [process.pid, *map(int, children)]
        finally:
            process.terminate()


def cpu_seconds(processes: Sequence[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in processes]
    return sum(int(one[11]) + int(one[12]) for one in fields) / TICKS


def memory(processes: Sequence[int]) -> int:
    """Bytes that only these processes hold, shared ones divided (Pss)."""
    total = 0
    for pid in processes:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
    return total


def drive(connections: Sequence[Connection], steps: int) -> float:
    """Exchange ``steps`` messages in all; return the seconds."""
    ready = selectors.DefaultSelector()
    for one in connections:
        ready.register(one.socket, selectors.EVENT_READ, one)
    began = time.perf_counter()
    for one in connections:
        one.send()
    answers = 0
    while answers < steps:
        for key, _ in ready.select():
            if key.data.answered():
                answers += 1
                if answers + len(connections) <= steps:
                    key.data.send()
    ready.close()
    return time.perf_counter() - began


def measure(name: str, workers: int, sessions: int, steps: int, recordings: Sequence[Recording]
            ) -> dict[str, float]:  # fmt: skip
    """One server, one number of sessions."""
    with server(name, workers) as (address, processes):
        drive([Connection(address, recordings, 0)], 500)  # caches, first use of everything
        before = memory(processes)
        connections = [Connection(address, recordings, number) for number in range(sessions)]
        drive(connections, 2 * sessions)
        each = (memory(processes) - before) / sessions
        spent = cpu_seconds(processes)
        seconds = drive(connections, steps)
        spent = cpu_seconds(processes) - spent
        return {
            "workers": workers,
            "sessions": sessions,
            "steps_per_second": round(steps / seconds),
            "steps_per_server_cpu_second": round(steps / spent),
            "bytes_per_idle_session": round(each),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", default="webshop")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    recordings, in_process = record(chosen.environment, 300)
    print(f"in process: {in_process:,.0f} steps a CPU second")
    for workers in chosen.workers:
        for sessions in chosen.sessions:
            row = measure(chosen.environment, workers, sessions, chosen.steps, recordings)
            print(
                json.dumps(row) if chosen.json else "  ".join(f"{k} {v:,}" for k, v in row.items())
            )


if __name__ == "__main__":
    main()

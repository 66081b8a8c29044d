"""How environments look in a terminal: the list, a check, a download, and a game for one person.

Whatever comes out of an environment is printed as plain text, never as markup, with control
characters replaced: a product title may hold anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console, Group
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from tratree_cli.display import colours
from tratree_cli.display.colours import AMBER, CYAN, GREEN, RED
from tratree_cli.display.text import inert, one_line
from tratree_cli.envs.protocol import Episode

SEPARATOR = "[SEP]"
OFFERED = 25
"""So many actions are listed unasked; a room in ScienceWorld offers hundreds."""


def environments_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One line an environment: data, tasks per split, and whether it is ready."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("environment", "data", "tasks", "state"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        splits = row.get("splits", {})
        tasks = ", ".join(f"{name} {count:,}" for name, count in splits.items()) or "–"
        state = Text()
        state.append(*(("ready", GREEN) if row["ready"] else (inert(str(row["missing"])), RED)))
        for note in row.get("notes", ()):
            state.append(f"\n{inert(note)}", "dim")
        table.add_row(Text(row["environment"]), Text(inert(row["data"])), Text(tasks), state)
    return table


def check_table(result: Mapping[str, Any]) -> Group:
    """The two episodes of ``env check``."""
    title = Text(
        f"{result['environment']} on {inert(result['data'])}, opened in "
        f"{result['open_seconds']:.2f} s, task {result['task']}: "
    )
    title.append(one_line(result["instruction"], 120), "italic")
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("policy", "steps", "score", "success", "seconds", "steps/s"):
        table.add_column(heading, justify="left" if heading == "policy" else "right")
    for episode in result["episodes"]:
        table.add_row(
            episode["policy"],
            str(episode["steps"]),
            f"{episode['score']:.3f}",
            "yes" if episode["success"] else "no",
            f"{episode['seconds']:.4f}",
            f"{episode['steps_per_second']:,}",
        )
    return Group(title, table)


def finding_line(promise: str, seen: str, *, kept: bool) -> Text:
    """One promise of the protocol, and what the check saw."""
    line = Text.assemble(("kept    ", GREEN) if kept else ("broken  ", f"bold {RED}"))
    line.append(promise, "default")
    line.append(f"  {one_line(seen, 160)}", "dim" if kept else RED)
    return line


@dataclass
class PlayedTask:
    """A task about to be played."""

    episode: Episode
    instruction: str
    max_steps: int


def play_episode(played: PlayedTask, typed: TextIO, console: Console | None = None) -> float:
    """Let a person play; returns the score. The end of the input leaves the game."""
    console = console or colours.console()
    console.print(Text(one_line(played.instruction), "bold"))
    observation, score = played.episode.reset(), 0.0
    for step in range(1, played.max_steps + 1):
        actions = list(played.episode.available_actions())
        _show_page(console, observation, actions)
        action = _ask(console, typed, actions, f"step {step}/{played.max_steps}> ")
        if action is None:
            console.print(Text("left the game"))
            return score
        outcome = played.episode.step(action)
        observation, score = outcome.observation, outcome.score
        if not outcome.valid:
            console.print(Text("nothing happens: that is not possible here", AMBER))
        if outcome.done:
            _show_page(console, observation, [])
            console.print(Text(f"score {score:.3f} after {step} steps", f"bold {GREEN}"))
            return score
    console.print(Text(f"no steps are left; score {score:.3f}", "bold"))
    return score


def _show_page(console: Console, observation: str, actions: Sequence[str]) -> None:
    console.rule(style="dim")
    for segment in observation.removeprefix("Observation:").split(SEPARATOR):
        if segment.strip():
            console.print(Text(inert(segment.strip())))
    _show_actions(console, actions[:OFFERED])
    if len(actions) > OFFERED:
        more = len(actions) - OFFERED
        console.print(Text(f"      and {more} more; type ? to see all", "dim"))


def _show_actions(console: Console, actions: Sequence[str]) -> None:
    for number, action in enumerate(actions, 1):
        # An environment that asks for a number has its own; ours beside it would mislead.
        ours = "" if action.isdecimal() else str(number)
        console.print(Text(f"{ours:>4}  {inert(action)}", CYAN))


def _ask(console: Console, typed: TextIO, actions: Sequence[str], prompt: str) -> str | None:
    """The action that was typed, by number or in words; None for leaving."""
    while True:
        console.print(Text(prompt, "bold"), end="")
        line = typed.readline()
        if not line or line.strip() in ("q", "quit", "exit"):
            return None
        words = line.strip()
        if words == "?":
            _show_actions(console, actions)
            continue
        if words in actions:
            return words
        if words.isascii() and words.isdigit() and 1 <= int(words) <= len(actions):
            return actions[int(words) - 1]
        if words:
            return words


class DownloadBars:
    """Progress bars on stderr, one a file; none when quiet or not a terminal."""

    def __init__(self, quiet: bool = False) -> None:
        console = colours.console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )

    def __enter__(self) -> DownloadBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def bar(self, name: str) -> Callable[[int, int | None], None]:
        """A callback for one file."""
        task = self._progress.add_task(name, total=None)

        def update(done: int, total: int | None) -> None:
            self._progress.update(task, completed=done, total=total)

        return update

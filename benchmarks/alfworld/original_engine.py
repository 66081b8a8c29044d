"""The original engine beside ours: the same game, the same commands, and every difference.

It needs ``pip install tratree[alfworld]`` (textworld with its planner library, compiled). Two
things are kept from it that it would compute again and again, neither of which changes what it
answers: the translation of a game, done once instead of four times, and the parsed templates of its
grammar.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tratree_cli.envs.alfworld.engine import Play
from tratree_cli.envs.alfworld.expert import SearchExpert
from tratree_cli.envs.alfworld.gamefile import read_game
from tratree_cli.envs.alfworld.house import House
from tratree_cli.errors import InputError

ODD = (
    "", "look ", "LOOK", "go to", "go to nowhere 1", "go to fridge", "examine", "take 1", "\t",
    "put apple 1 in", "use desklamp", "open", "heat", "look\nlook", "go  to cabinet 1", "help",
)  # fmt: skip
"""Inputs that no game offers (``help`` is one in the newer edition)."""

STRAY = 0.12
"""Share of random play that says something that does nothing, or did something elsewhere."""


@dataclass
class Comparison:
    """What was compared in one run of one game; ``differences`` are sentences."""

    game: str
    steps: int = 0
    won: bool = False
    differences: list[str] = field(default_factory=list)


class Original:
    """The original engine on one game file, with the original's naming of things."""

    def __init__(self, path: Path) -> None:
        try:
            environments: Any = importlib.import_module("textworld.envs.pddl")
            naming: Any = importlib.import_module("alfworld.agents.environment.alfred_tw_env")
        except ImportError as error:
            raise InputError(
                f"the original engine is not installed ({error}); pip install tratree[alfworld]"
            ) from error
        core: Any = importlib.import_module("textworld.core")
        wanted = core.EnvInfos(admissible_commands=True, won=True)
        with _once():
            self._env: Any = naming.AlfredDemangler()(environments.PddlEnv(wanted))
            self._env.load(str(path))

    def reset(self) -> tuple[str, list[str], bool]:
        """First text, admissible commands, and whether the goal is reached."""
        with _once():
            return self._answer(self._env.reset())

    def step(self, command: str) -> tuple[str, list[str], bool]:
        """The same after a command."""
        with _once():
            state, _, _ = self._env.step(command)
        return self._answer(state)

    @staticmethod
    def _answer(state: Any) -> tuple[str, list[str], bool]:
        return state.feedback, list(state["admissible_commands"]), bool(state["won"])


def compare(path: Path, policy: str, steps: int, seed: int = 0) -> Comparison:
    """Play a game in both engines by ``random`` or ``expert`` policy and note every difference.

    Texts, the list of admissible commands and the goal check are compared after each step. The
    expert stops at its win; random play goes on after one, as the original does.
    """
    play = Play(House(read_game(path)))
    original = Original(path)
    result = Comparison(str(path))
    choose = _Expert(play) if policy == "expert" else _Random(f"{path.parent.name}/{seed}")
    text = _checked(result, "reset", (play.reset(), play.commands(), play.won), original.reset())
    for _ in range(steps):
        command = choose(text, play)
        theirs = original.step(command)
        text = _checked(result, command, (play.step(command), play.commands(), play.won), theirs)
        result.steps += 1
        result.won = result.won or theirs[2]
        if theirs[2] and policy == "expert":
            break
    return result


def _checked(
    result: Comparison,
    command: str,
    ours: tuple[str, list[str], bool],
    theirs: tuple[str, list[str], bool],
) -> str:
    for what, own, other in zip(("text", "commands", "won"), ours, theirs, strict=True):
        if own != other:
            result.differences.append(
                f"step {result.steps}, '{command}', {what}: ours {own!r}, the original's {other!r}"
            )
    return theirs[0]


class _Expert:
    def __init__(self, play: Play) -> None:
        self._expert = SearchExpert(play.house.game.logic.put)

    def __call__(self, text: str, play: Play) -> str:
        return self._expert.act(text)[1]


class _Random:
    """Random play that does not only walk: first the kind of command is drawn, then one of them."""

    def __init__(self, seed: str) -> None:
        self._rng = Random(seed)
        self._seen: list[str] = []

    def __call__(self, text: str, play: Play) -> str:
        if self._rng.random() < STRAY:
            return self._rng.choice([*ODD, *self._seen[-40:]])
        commands = play.commands()
        verbs = sorted({command.split()[0] for command in commands})
        verb = self._rng.choice(verbs)
        command = self._rng.choice([c for c in commands if c.split()[0] == verb])
        self._seen.append(command)
        return command


_TRANSLATED: dict[str, Any] = {}
_PARSED: dict[tuple[Any, ...], Any] = {}


@contextmanager
def _once() -> Iterator[None]:
    """While inside, the original translates a game once and parses a template once."""
    logic: Any = importlib.import_module("textworld.envs.pddl.logic")
    textgen: Any = importlib.import_module("textworld.envs.pddl.textgen")
    translate, parse = logic.fast_downward.pddl2sas, textgen._parse_and_convert

    def translate_once(domain: str, problem: str, **_: Any) -> Any:
        # The second translation is for its planner alone, which is not asked here.
        if problem not in _TRANSLATED:
            _TRANSLATED.clear()
            _TRANSLATED[problem] = translate(domain, problem, verbose=False, optimize=False)
        return _TRANSLATED[problem]

    def parse_once(*words: Any, **options: Any) -> Any:
        if words not in _PARSED:
            _PARSED[words] = parse(*words, **options)
        return copy.deepcopy(_PARSED[words])

    logic.fast_downward.pddl2sas, textgen._parse_and_convert = translate_once, parse_once
    try:
        yield
    finally:
        logic.fast_downward.pddl2sas, textgen._parse_and_convert = translate, parse

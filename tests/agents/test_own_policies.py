"""``python:`` policies: whatever a user's object does, it is a sentence or a policy-error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from tratree_cli.agents.policy import Opening, Reply, Turn
from tratree_cli.agents.registry import open_policy
from tratree_cli.agents.rollout import EpisodeRequest, play_episodes
from tratree_cli.errors import InputError
from tratree_cli.formats.rollouts import POLICY_ERROR

from .toy import open_environment

REQUESTS = [EpisodeRequest(str(task)) for task in range(4)]


def raises_for_one_task(messages: list[dict[str, str]]) -> str:
    if messages[-1]["content"].startswith("Task 2:"):
        raise KeyError("task 2\nis too hard")
    return "Action: light"


def says_nothing(messages: list[dict[str, str]]) -> str:
    return None  # type: ignore[return-value]


class Own:
    """A policy that answers with what ``replies`` makes of its turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []

    def begin(self, openings: Sequence[Opening]) -> None: ...

    def submit(self, turns: Sequence[Turn]) -> None:
        self.turns += turns

    def collect(self) -> list[Reply]:
        turns, self.turns = self.turns, []
        return [Reply(turn.slot, "Action: light") for turn in turns]

    def finish(self, slots: Iterable[int]) -> None: ...

    def close(self) -> None: ...


class Silent(Own):
    def collect(self) -> list[Reply]:
        return []


class Unsound(Own):
    def collect(self) -> list[Reply]:
        return ["light", Reply(99, "Action: light"), *[Reply(t.slot, 3) for t in self.turns]]  # type: ignore[arg-type, list-item]


class Breaking(Own):
    def collect(self) -> list[Reply]:
        raise RuntimeError("my server is gone")


class Unwilling(Own):
    def begin(self, openings: Sequence[Opening]) -> None:
        raise ValueError("no")


class Twice(Own):
    def collect(self) -> list[Reply]:
        return 2 * super().collect()


def played(name: str) -> list[tuple[str, str]]:
    environment = open_environment()
    policy = open_policy(f"python:{__name__}:{name}")
    return [(e.end, e.detail) for e in play_episodes(environment, policy, REQUESTS)]


def test_a_function_that_raises_ends_its_own_episode_only() -> None:
    ends = played("raises_for_one_task")
    assert [end for end, _ in ends] == ["done", "done", POLICY_ERROR, "done"]
    assert ends[2][1].startswith("KeyError: ")
    assert "\n" not in ends[2][1]


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("says_nothing", "answered with NoneType"),
        ("Silent", "answered to none"),
        ("Unsound", "answered with int"),
        ("Breaking", "RuntimeError: my server is gone"),
        ("Unwilling", "ValueError: no"),
    ],
)
def test_a_policy_that_fails_is_a_policy_error_with_its_reason(name: str, detail: str) -> None:
    for end, said in played(name):
        assert end == POLICY_ERROR
        assert detail in said


@pytest.mark.parametrize("name", ["Own", "Twice"])
def test_a_sound_policy_plays_as_before(name: str) -> None:
    assert [end for end, _ in played(name)] == ["done"] * 4


@pytest.mark.parametrize(
    "argument", ["..:x", ".a:x", ":x", "a..b:x", "a:", "a:b:c"]
)  # fmt: skip
def test_a_reference_that_is_no_module_is_refused(argument: str) -> None:
    with pytest.raises(InputError, match="write python:module:object"):
        open_policy(f"python:{argument}")


@pytest.mark.parametrize(
    "source",
    ["raise SystemError('x')", "def f(:", "import nowhere_at_all", "f = 3", "f = dict",
     "class f:\n    def __init__(self): raise RuntimeError('a\\nb')", "\0"],
)  # fmt: skip
def test_a_module_that_cannot_be_used_is_a_sentence(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"own_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    with pytest.raises(InputError) as caught:
        open_policy(f"python:{name}:f")
    assert "\n" not in str(caught.value)

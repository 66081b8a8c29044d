"""Nodes are computed from their inputs, here or in other processes; their lineage is recorded."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.config import Config
from tratree_cli.errors import StageError, WouldRunError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.pipeline.reporter import SilentReporter
from tratree_cli.pipeline.runtime import Runtime


@dataclass(frozen=True)
class Parameters:
    text: str
    kill: bool = False


STAGE_OF_TEXT = Stage("build-tree", 1, "tree", f"{__name__}:write", Parameters)


def write(job: Job[Parameters]) -> Result:
    """Writes its text and those of its inputs; ``kill`` ends the process instead."""
    if job.params.kill:
        os.kill(os.getpid(), signal.SIGKILL)
    below = [(entry.path / "text").read_text() for entry in job.inputs.get("below", ())]
    (job.out / "text").write_text(job.params.text + "".join(below))
    return Result({"length": len(job.params.text)}, warnings=[f"wrote {job.params.text}"])


def node(text: str, *below: Node, kill: bool = False, **fields: Any) -> Node:
    inputs = {"below": below} if below else {}
    params = Parameters(text, kill)
    return Node(STAGE_OF_TEXT, f"text {text}", Config(), params, inputs, **fields)


class Listing(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.done: list[tuple[str, bool]] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def finished(self, label: str, entry: Any, cached: bool) -> None:
        self.done.append((label, cached))


def test_the_recipes_of_inputs_are_recorded_by_role_and_so_is_what_a_node_says_of_itself(
    tmp_path: Path,
) -> None:
    runtime = Runtime(tmp_path, SilentReporter())
    # Equal bytes by two recipes: the object alone would not tell which of them was the input.
    first, second = node("a"), node("a", node("", kill=False))
    model = node("b", first, second, recorded={"role": "weak"})
    entry = runtime.realise(model)
    recipes = [runtime.realise(below).recipe for below in (first, second)]
    assert len({runtime.realise(below).object for below in (first, second)}) == 1
    assert entry.provenance["inputs"] == {"below": recipes}
    assert entry.provenance["role"] == "weak"


@pytest.mark.parametrize("jobs", [1, 3])
def test_side_by_side_or_not_nodes_have_the_same_bytes_and_warnings(
    tmp_path: Path, jobs: int
) -> None:
    reporter = Listing()
    leaves = [node(letter) for letter in "abcd"]
    top = node("top", node("x", *leaves[:2]), node("y", *leaves[2:]))
    entry = Runtime(tmp_path, reporter, jobs=jobs).realise(top)
    assert (entry.path / "text").read_text() == "topxabycd"
    assert sorted(reporter.warnings) == sorted(
        f"text {text}: wrote {text}" for text in ("a", "b", "c", "d", "x", "y", "top")
    )
    again = Listing()
    Runtime(tmp_path, again, jobs=jobs, frozen=True).realise(top)
    assert {cached for _, cached in again.done} == {True}


def test_a_worker_that_is_killed_costs_its_node_and_what_stands_on_it(tmp_path: Path) -> None:
    lost, kept = node("lost", kill=True), node("kept")
    top = node("top", node("above", lost), node("beside", kept))
    runtime = Runtime(tmp_path, Listing(), jobs=2)
    losses = runtime.attempt(top)
    assert [failed.label for failed, _ in losses.failed] == ["text lost"]
    assert "ended from outside while this ran: text lost" in str(losses.failed[0][1])
    assert runtime.realise(node("beside", kept)).path.is_dir()
    with pytest.raises(StageError, match="fewer --jobs"):
        Runtime(tmp_path, Listing(), jobs=2).realise(top)


def test_frozen_names_what_would_run_and_the_plan_says_what_depends_on_what(
    tmp_path: Path,
) -> None:
    below = node("a")
    top = node("top", below)
    runtime = Runtime(tmp_path, SilentReporter(), frozen=True)
    with pytest.raises(WouldRunError, match="text a, text top"):
        runtime.realise(top)
    assert [line.state for line in runtime.plan(top)] == ["would run", "depends on text a"]

"""``tratree env``: which environments there are, whether they work, playing one, fetching data."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.commands.completion import complete_split
from tratree_cli.commands.env_options import EMBEDDED, Data, Name, Parameters, open_named, pairs
from tratree_cli.commands.env_serve import serve
from tratree_cli.commands.output import print_content, print_json, print_line, say
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.envs.protocol import Environment

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Environments: list, check, play, fetch data, serve.",
)
app.command("serve")(serve)

Split = Annotated[
    str,
    typer.Option(
        "--split", help="Split that the task is taken from.", autocompletion=complete_split
    ),
]
Task = Annotated[str | None, typer.Option("--task", "-t", help="Task, as the split lists it.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress on stderr.")]


@app.command("list")
def list_environments(
    data: Data = EMBEDDED, parameters: Parameters = None, as_json: AsJson = False
) -> None:
    """Environments with their tasks per split, and what mends those that are not ready.

    A folder is shown with the environments that have files in it; the others are listed without.
    """
    from tratree_cli.display.environments import environments_table
    from tratree_cli.envs.registry import environment_names

    names = environment_names()
    own = {name for name in names if _has_files(name, data)}
    rows = [
        _describe(name, data if name in own or not own else EMBEDDED, parameters) for name in names
    ]
    if as_json:
        for row in rows:
            print_json(row)
    else:
        print_content(environments_table(rows))


@app.command("check")
def check(
    name: Name,
    data: Data = EMBEDDED,
    split: Split = "train",
    task: Task = None,
    parameters: Parameters = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Also every promise of the protocol; exit 1 if broken.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Play one expert and one random episode and say how they went and how long they took."""
    from tratree_cli.display.environments import check_table
    from tratree_cli.envs.timed_episode import timed_episode

    began = time.perf_counter()
    environment = open_named(name, data, parameters)
    opened = time.perf_counter() - began
    try:
        chosen = _task(environment, split, task)
        episodes = [timed_episode(environment, chosen, who) for who in ("expert", "random")]
        result = {
            "environment": name,
            "data": environment.spec.data,
            "data_digest": environment.spec.data_digest,
            "parameters": dict(environment.spec.parameters),
            "task": chosen,
            "instruction": environment.instruction(chosen),
            "open_seconds": round(opened, 4),
            "episodes": episodes,
        }
    finally:
        environment.close()
    if as_json and not strict:
        print_json(result)
    elif not as_json:
        print_content(check_table(result))
    if strict and not _keeps_promises(result, name, data, split, parameters, as_json=as_json):
        raise typer.Exit(1)


def _keeps_promises(
    result: dict[str, Any],
    name: str,
    data: str,
    split: str,
    parameters: list[str] | None,
    *,
    as_json: bool,
) -> bool:
    """Check and print every promise; true if all are kept."""
    from dataclasses import asdict

    from tratree_cli.display.environments import finding_line
    from tratree_cli.envs import conformance

    findings = []
    for finding in conformance.check(lambda: open_named(name, data, parameters), split=split):
        findings.append(finding)
        if not as_json:
            print_content(finding_line(finding.promise, finding.seen, kept=finding.kept))
    if as_json:
        print_json({**result, "promises": [asdict(finding) for finding in findings]})
    return all(finding.kept for finding in findings)


@app.command("play")
def play(
    name: Name,
    task: Task = None,
    split: Split = "train",
    data: Data = EMBEDDED,
    parameters: Parameters = None,
) -> None:
    """Play a task yourself: type an action, or the number of one that is offered; q leaves."""
    from tratree_cli.display.environments import PlayedTask, play_episode

    environment = open_named(name, data, parameters)
    try:
        chosen = _task(environment, split, task)
        play_episode(
            PlayedTask(
                environment.episode(chosen),
                environment.instruction(chosen),
                environment.max_steps(chosen),
            ),
            sys.stdin,
        )
    finally:
        environment.close()


@app.command("fetch")
def fetch(
    name: Name,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the files (else data/NAME).", show_default=False),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option("--size", help="A set of files: WebShop's `full` (5.2 GB) or `small`."),
    ] = None,
    mirror: Annotated[
        str | None, typer.Option("--mirror", help="Address of a folder with the files.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option("--source", metavar="FILE=URL", help="Address of one file.")
    ] = None,
    checksum: Annotated[
        list[str] | None, typer.Option("--checksum", metavar="FILE=SHA256", help="Expected sha256.")
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Download an environment's official files; run it again to continue after an interruption."""
    from tratree_cli.display.environments import DownloadBars
    from tratree_cli.envs.registry import plugin

    own = plugin(name).submodule("fetch")
    if own is None:
        raise InputError(f"there is nothing to fetch for {name}; see `tratree env list`")
    wanted = own.sources(size, mirror, pairs(source, "--source"), pairs(checksum, "--checksum"))
    to = to or own.FOLDER
    with DownloadBars(quiet=quiet) as bars:
        fetched = own.fetch(to, wanted, bars.bar)
    for item in fetched:
        row = {"file": str(item.path), "sha256": item.sha256, "present": item.present}
        if as_json:
            print_json(row)
        else:
            print_line(f"{item.sha256}  {item.path}")
    say(f"ready: tratree report --env {name} --data {to}")


def _has_files(name: str, data: str) -> bool:
    from tratree_cli.envs.registry import plugin
    from tratree_cli.errors import TratreeError

    try:
        return data != EMBEDDED and any(True for _ in plugin(name).data_files(data))
    except TratreeError:
        return False


def _describe(name: str, data: str, parameters: list[str] | None) -> dict[str, Any]:
    from tratree_cli.errors import TratreeError

    try:
        environment = open_named(name, data, parameters)
    except TratreeError as error:
        return {"environment": name, "data": data, "ready": False, "missing": str(error)}
    from tratree_cli.envs.protocol import optional

    try:
        return {
            "environment": name,
            "data": environment.spec.data,
            "ready": True,
            "splits": {split: len(tasks) for split, tasks in environment.splits().items()},
            "parameters": dict(environment.spec.parameters),
            "notes": list(optional(environment, "notes")),
        }
    finally:
        environment.close()


def _task(environment: Environment, split: str, task: str | None) -> str:
    """The given task, or the first of the split."""
    from tratree_cli.errors import did_you_mean

    splits = environment.splits()
    if split not in splits:
        raise InputError(
            f"{environment.spec.name} has no split '{split}'{did_you_mean(split, splits)}; "
            f"it has {', '.join(splits)}"
        )
    if task is not None:
        environment.instruction(task)  # an unknown task is an error here, not inside an episode
        return task
    if not splits[split]:
        raise InputError(f"the split {split} has no tasks; choose another with --split")
    return splits[split][0]

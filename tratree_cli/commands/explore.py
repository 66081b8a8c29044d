"""``tratree explore``: a policy plays training tasks → rollouts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.completion import complete_split
from tratree_cli.commands.engines import ENGINE_HELP, ExtraBody
from tratree_cli.commands.registered import complete_policy, listed
from tratree_cli.commands.registered import policies as policy_forms
from tratree_cli.commands.session import Session, stage_command
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_cli.pipeline.graph import Node

app = typer.Typer()

RAY = "ray"
"""Where shards are played, whatever plays the models there."""


@app.command()
@stage_command
def explore(
    session: Session,
    model: Annotated[
        list[str] | None, typer.Argument(help="Models that explore (default: SFT weak).")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help=f"A model's reference, or one of {listed(policy_forms())}.",
            autocompletion=complete_policy,
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("-m", "--samples", help="Trajectories per task.", min=1)
    ] = None,
    temperature: Annotated[
        str | None, typer.Option("--temperature", help="One or more, comma-separated.")
    ] = None,
    top_p: Annotated[
        str | None, typer.Option("--top-p", help="One or more, comma-separated.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split to explore.", autocompletion=complete_split)
    ] = None,
    tasks: Annotated[
        str | None,
        typer.Option("--tasks", help="Tasks by name, comma-separated, or @FILE with one a line."),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Only the first N tasks, 0: all.", metavar="N")
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--model-revision", help="What a served model's weights are; keyed."),
    ] = None,
    extra: ExtraBody = None,
    explorer: Annotated[
        str | None, typer.Option("--explorer", help="Default explorer: weak, strong or both.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help=f"{ENGINE_HELP[:-1]}; or ray (a cluster).")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="The Ray cluster's address.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option("--shard", metavar="I/N", help="Play only part I of N, publish nothing."),
    ] = None,
    allow_test: Annotated[
        bool, typer.Option("--allow-test", help="Explore a split that is there to evaluate on.")
    ] = False,
) -> None:
    """Let a policy play training tasks M times each (section 3.1)."""
    from tratree_cli.commands.policies import extra_body, open_policies
    from tratree_cli.display.progress import without_bars
    from tratree_cli.stages import explore as stage
    from tratree_cli.stages.sampling import is_interactive

    part = part_of(shard) if shard is not None else None
    _check_address(engine, address)
    words = [*session.words(model or []), *(policy or [])]
    if words and explorer is not None:
        raise InputError("--explorer chooses the default explorer, but who explores is given")
    body = extra_body(extra, words)
    policies = open_policies(session, words, revision)
    names = task_names(tasks)
    config = session.config(
        [p for p in policies if not isinstance(p, str)],
        explore__m=samples,
        explore__temperature=numbers(temperature, "--temperature"),
        explore__top_p=numbers(top_p, "--top-p"),
        explore__split=split,
        explore__limit=limit,
        explore__task_ids=names,
        explore__explorer=explorer,
        explore__extra_body=body,
        explore__backend=None if engine == RAY else engine,
    )
    if names and limit is None and 0 < config.explore.limit < len(names):
        raise InputError(
            f"--tasks names {len(names)} tasks, of which explore.limit={config.explore.limit} "
            "would take the first; say how many with --limit (0: all)"
        )
    node = stage.node(config, policies=policies or None, allow_test=allow_test)
    session.use(engine=RAY if engine == RAY else "local", address=address)
    if names:
        session.runtime.checks.append(functools.partial(_require_tasks, names))
    if is_interactive([policy for policy in policies if isinstance(policy, str)]):
        # Bars would be drawn over what a person types.
        session.runtime.reporter = without_bars(session.runtime.reporter)
    if part is not None and not session.dry_run:
        from tratree_cli.display.progress import closing

        with closing(session.runtime.reporter):
            episodes = stage.play_part(session.runtime, node, part)
        session.runtime.reporter.warn(
            f"part {shard} is played ({episodes} episodes); when all are, the same command "
            "without --shard publishes the rollouts"
        )
        return
    session.finish(node)


def _require_tasks(names: Sequence[str], missing: Sequence[Node]) -> None:
    """Refuse an unknown task before the model that would play it is trained."""
    from tratree_cli.envs.registry import open_environment
    from tratree_cli.stages.sampling import chosen_by_name

    exploration = missing[-1]
    spec = exploration.locations.environment
    if len(missing) > 1 and spec is not None:
        chosen_by_name(open_environment(spec), exploration.params.split, names)


def _check_address(engine: str | None, address: str | None) -> None:
    if engine != RAY and address is not None:
        raise InputError(f"--address {address} is a Ray cluster's; add --engine ray, or drop it")


def part_of(text: str) -> tuple[int, int]:
    """``3/16`` as numbers."""
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and 1 <= int(index) <= int(count)):
        raise InputError(f"--shard {text}: expected I/N with 1 <= I <= N, like 3/16")
    return int(index), int(count)


def task_names(text: str | None) -> list[str] | None:
    """``a,b`` or ``@FILE`` (one a line) as names."""
    from pathlib import Path

    if text is None:
        return None
    if text.startswith("@"):
        try:
            names = Path(text[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--tasks {text}: the file cannot be read ({error})") from error
    else:
        names = text.split(",")
    found = [name.strip() for name in names if name.strip()]
    if not found:
        raise InputError(f"--tasks {text}: no task is named; write names like 12,40 or @FILE")
    return list(dict.fromkeys(found))


def numbers(text: str | None, flag: str) -> list[float] | None:
    """``0.7,1.0`` as numbers."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{flag} {text}: expected numbers separated by commas") from None

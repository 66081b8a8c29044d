"""``tratree explore``: a policy plays training tasks → rollouts."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command()
@stage_command
def explore(
    session: Session,
    model: Annotated[
        list[str] | None, typer.Argument(help="Models that explore [default: the SFT weak model].")
    ] = None,
    policy: Annotated[
        list[str] | None,
        typer.Option("--policy", help="A model's reference, expert, random, openai:URL#model, ..."),
    ] = None,
    m: Annotated[int | None, typer.Option("-m", help="Trajectories per task.", min=1)] = None,
    temperature: Annotated[
        str | None, typer.Option("--temperature", help="One or more, comma-separated.")
    ] = None,
    top_p: Annotated[
        str | None, typer.Option("--top-p", help="One or more, comma-separated.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split to explore.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Only so many tasks.")] = None,
    explorer: Annotated[
        str | None, typer.Option("--explorer", help="Default explorer: weak or strong.")
    ] = None,
    allow_test: Annotated[bool, typer.Option("--allow-test", help="Explore a test split.")] = False,
) -> None:
    """Let a policy play training tasks M times each (section 3.1)."""
    from tratree_cli.commands.policies import open_policies
    from tratree_cli.stages import explore as stage

    policies = open_policies(session, [*session.words(model or []), *(policy or [])])
    config = session.config(
        [p for p in policies if not isinstance(p, str)],
        explore__m=m,
        explore__temperature=numbers(temperature, "--temperature"),
        explore__top_p=numbers(top_p, "--top-p"),
        explore__split=split,
        explore__tasks=limit,
        explore__explorer=explorer,
    )
    node = stage.node(config, policies=policies or None, allow_test=allow_test)
    session.finish(node, follow="tratree build-tree rollouts@latest")


def numbers(text: str | None, flag: str) -> list[float] | None:
    """``0.7,1.0`` as numbers."""
    from tratree_cli.errors import InputError

    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{flag} {text}: expected numbers separated by commas") from None

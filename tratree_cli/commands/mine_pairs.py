"""``tratree mine-pairs``: trees (or rollouts and demonstrations) → preference pairs."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.registered import complete_rule, listed, pair_rules
from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command("mine-pairs")
@stage_command
def mine_pairs(
    session: Session,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            help="A tree, or rollouts (and demos) for the other rules.",
            autocompletion=complete_reference,
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            "--rule", help=f"One of {listed(pair_rules())}.", autocompletion=complete_rule
        ),
    ] = None,
    select: Annotated[
        str | None, typer.Option("--select", help="all, best-worst or adjacent.")
    ] = None,
    min_gap: Annotated[
        float | None, typer.Option("--min-gap", help="Smallest difference of scores.")
    ] = None,
    per_task: Annotated[
        int | None, typer.Option("--per-task", help="Pairs per task, 0 for no limit.")
    ] = None,
    level: Annotated[
        str | None, typer.Option("--level", help="trajectory, step or mixed: what is compared.")
    ] = None,
) -> None:
    """Pair what diverged from a shared prefix and led to different scores (Eq. 6)."""
    from tratree_cli.errors import InputError
    from tratree_cli.methods.pair_rule import pair_rule
    from tratree_cli.stages import mine_pairs as stage

    given = session.entries(inputs or [], ("tree", "rollouts", "demos"))
    config = session.config(
        given,
        pairs__rule=rule,
        pairs__select=select,
        pairs__min_gap=min_gap,
        pairs__per_task=per_task,
        pairs__level=level,
    )
    by_kind = {
        kind: [entry for entry in given if entry.kind == kind]
        for kind in ("tree", "rollouts", "demos")
    }
    wanted = pair_rule(config.pairs.rule).sources
    for entry in given:
        if entry.kind not in wanted:
            raise InputError(
                f"rule '{config.pairs.rule}' takes {' and '.join(wanted)}, not {entry.kind}; "
                "choose another --rule or hand in another artifact"
            )
    node = stage.node(
        config,
        trees=by_kind["tree"] or None,
        rollouts=by_kind["rollouts"] or None,
        demonstrations=by_kind["demos"] or None,
    )
    session.finish(node)

"""``tratree train-strong``: pairs or paths → a stronger model."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command("train-strong")
@stage_command
def train_strong(
    session: Session,
    source: Annotated[
        list[str] | None, typer.Argument(help="Pairs or paths [default: made for the method].")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="tree-dpo, mcts, eto, unstructured-dpo, ceiling, best-observed or sft-more "
            "[default: what the input asks for, else tree-dpo].",
        ),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", help="sft, base, or a model's reference.")
    ] = None,
    ref: Annotated[
        str | None, typer.Option("--ref", help="KL reference: weak, strong-sft, none, reference.")
    ] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="dpo.beta")] = None,
    explicit_kl: Annotated[
        bool | None, typer.Option("--explicit-kl", help="Eq. 6 as written.")
    ] = None,
) -> None:
    """Train the strong model on what the weak one went through (Eq. 6 and Eq. 8)."""
    from tratree_cli.errors import InputError
    from tratree_cli.stages import train_strong as stage

    given = session.entries(source or [], ("pairs", "paths", "demos"))
    if len(given) > 1:
        raise InputError(f"train-strong takes one artifact, not {len(given)}")
    first = given[0] if given else None
    asked = stage.method_of(first.kind, first) if first and first.kind != "demos" else None
    chosen = method or asked or ("sft-more" if first else "tree-dpo")
    stage.check_method(chosen)
    if first is not None:
        wanted = stage.input_kind(chosen)
        if first.kind != wanted:
            raise InputError(
                f"method '{chosen}' trains on {wanted}, not on {first.kind}; "
                f"drop --method to let the input decide"
            )
    start = session.entry(init, ("model",)) if init and init not in ("sft", "base") else None
    reference = (
        session.entry(ref, ("model",))
        if ref and ref not in ("weak", "strong-sft", "none")
        else None
    )
    config = session.config(
        given,
        train__init=init if start is None else None,
        dpo__ref=ref if reference is None else None,
        dpo__beta=beta,
        dpo__explicit_kl=explicit_kl,
    )
    node = stage.node(config, chosen, data=first, init=start, reference=reference)
    session.finish(node, follow="tratree eval model@latest")

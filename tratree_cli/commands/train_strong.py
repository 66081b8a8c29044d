"""``tratree train-strong``: pairs or paths → a stronger model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.registered import complete_method, listed, strong_methods
from tratree_cli.commands.session import Session, stage_command
from tratree_cli.commands.training import Launch, Processes, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tratree_store import Entry

    from tratree_cli.config import Config
    from tratree_cli.pipeline.graph import Node

app = typer.Typer()

REFERENCES = ("weak", "strong-sft", "init", "none")
"""What ``--ref`` takes beside a model's reference."""


@app.command("train-strong")
@stage_command
def train_strong(
    session: Session,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="Pairs, paths or both (default: made for the method).",
            autocompletion=complete_reference,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--pairs", help="Pairs of your own (JSONL): DPO from --model's own weights."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            help="Default: what the input asks for, else tree-dpo. "
            f"One of {listed(strong_methods())}.",
            autocompletion=complete_method,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", help="Strong base: embedded name, folder, hub name, model:…"),
    ] = None,
    init: Annotated[
        str | None, typer.Option("--init", help="sft, base, or a model's reference.")
    ] = None,
    ref: Annotated[
        str | None,
        typer.Option("--ref", help="KL reference: weak, strong-sft, init, none, reference."),
    ] = None,
    explorer: Annotated[
        str | None, typer.Option("--explorer", help="Learn from the explorer weak, strong or both.")
    ] = None,
    beta: Annotated[float | None, typer.Option("--beta", help="Strength of the KL term.")] = None,
    turn_discount: Annotated[
        float | None,
        typer.Option("--turn-discount", help="DMPO: later turns of a pair count less; 0: none."),
    ] = None,
    use_weighting: Annotated[
        bool | None,
        typer.Option("--use-weighting", help="WPO: weigh pairs by their likelihood."),
    ] = None,
    curriculum: Annotated[
        str | None, typer.Option("--curriculum", help="From easy to hard: gap (pairs) or length.")
    ] = None,
    explicit_kl: Annotated[
        bool | None, typer.Option("--explicit-kl", help="Eq. 6 as written.")
    ] = None,
    processes: Processes = None,
    launch: Launch = None,
    track: Track = None,
) -> None:
    """Train the strong model on what the weak one went through (Eq. 6 and Eq. 8)."""
    from tratree_cli.commands.training import base_model, prepare
    from tratree_cli.errors import InputError
    from tratree_cli.methods.registry import method as method_named
    from tratree_cli.stages import method_graph, method_inputs
    from tratree_cli.stages import train_strong as stage
    from tratree_cli.stages.examples import KINDS

    group = prepare(session, processes, launch, track)
    words = session.words(source or []) if source or file is None else []
    given = [session.entry(word, KINDS) for word in words]
    if given and file is not None:
        raise InputError("train-strong takes artifacts or one file of pairs, not both")
    chosen = _method(method, given, file)
    if "pairs" not in method_inputs.input_kinds(chosen):
        near = None if ref == "none" else ref
        for flag, value in (
            ("--ref", near),
            ("--beta", beta),
            ("--explicit-kl", explicit_kl),
            ("--turn-discount", turn_discount),
            ("--use-weighting", use_weighting),
        ):
            if value is not None:
                raise InputError(f"{flag} is DPO's, but the method '{chosen}' imitates; drop it")
    if explorer is not None and (given or file is not None):
        raise InputError("--explorer chooses what is explored, but what to learn from is given")
    record = method_named(chosen)
    # A method of one's own data comes without this pipeline's models: it starts from the base
    # model and stays near it, unless something else is asked for.
    init = init or ("base" if record.init == "base" else None)
    ref = ref or ("none" if record.own_data else None)
    ordered = "dpo" if "pairs" in method_inputs.input_kinds(chosen) else "train"
    config = session.config(
        given,
        models__strong=base_model(model),
        explore__explorer=explorer,
        train__init=init if init in ("sft", "base") else None,
        dpo__ref=ref if ref in REFERENCES else None,
        dpo__beta=beta,
        dpo__explicit_kl=explicit_kl,
        dpo__turn_discount=turn_discount,
        dpo__use_weighting=use_weighting,
        **{f"{ordered}__curriculum": curriculum},
    )
    start = _model(session, init or config.train.init, ("sft", "base"))
    reference = _model(session, ref or config.dpo.ref, (*REFERENCES, ""))
    data = [_imported(config, file)] if file is not None else given
    if record.beyond:
        if data or start or reference or processes or launch:
            raise InputError(
                f"'{chosen}' is made of several trainings, for which nothing can be given by "
                "itself; say what differs with --set"
            )
        made = method_graph.policy(config, chosen)
        assert not isinstance(made, str), "a model is trained"
        session.finish(made)
        return
    node = stage.node(config, chosen, data=data, init=start, reference=reference, processes=group)
    session.finish(node)


def _method(asked: str | None, given: Sequence[Entry], file: Path | None) -> str:
    """The method asked for, or the one that the input asks for; both must agree on the input."""
    from tratree_cli.errors import InputError
    from tratree_cli.methods.registry import DEFAULT, own_data_method
    from tratree_cli.stages import method_inputs

    suggested = own_data_method().name if file else None
    kinds = ["pairs"] if file else [entry.kind for entry in given]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise InputError(f"train-strong takes one artifact of a kind, not several of {kind}")
    if given and not asked:
        suggested = method_inputs.method_of(given)
    chosen = asked or suggested or DEFAULT
    wanted = method_inputs.input_kinds(chosen)
    for kind in kinds:
        if kind not in wanted:
            raise InputError(
                f"method '{chosen}' trains on {' and '.join(wanted)}, not on {kind}; "
                "drop --method to let the input decide"
            )
    return chosen


def _model(session: Session, text: str, words: tuple[str, ...]) -> Entry | None:
    """The model behind a reference; a word of the option's own is none."""
    return None if text in words else session.entry(text, ("model",))


def _imported(config: Config, file: Path) -> Node:
    from tratree_cli.commands.training import file_of
    from tratree_cli.stages import importing

    return importing.node(config, file_of(file, "--pairs"), kind="pairs")

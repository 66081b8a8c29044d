"""``tratree report``: the table over all methods, pulled from the store or computed on the way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.completion import REPORT_FORMATS, complete_format
from tratree_cli.commands.engines import ENGINE_HELP
from tratree_cli.commands.next_step import next_step
from tratree_cli.commands.output import print_text
from tratree_cli.commands.registered import complete_methods, listed, study_methods
from tratree_cli.commands.session import Session, stage_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tratree_store import Entry

    from tratree_cli.config import Config
    from tratree_cli.reporting.document import ReportDocument
    from tratree_cli.reporting.study import StudyCell

app = typer.Typer()

OTHER_NAMES = {
    "text": "terminal",
    "txt": "terminal",
    "md": "markdown",
    "tex": "latex",
    "htm": "html",
}
"""Formats by the names and suffixes that people try."""


@app.command()
@stage_command
def report(
    session: Session,
    evaluations: Annotated[
        list[str] | None,
        typer.Argument(help="Evaluations (default: every method of the recipe)."),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help=f"Comma-separated (default: the recipe's), or all: {listed(study_methods())}.",
            autocompletion=complete_methods,
        ),
    ] = None,
    controls: Annotated[
        bool | None,
        typer.Option(
            "--controls/--no-controls",
            help="All controls of the methods beside them, or none (default: the recipe's).",
        ),
    ] = None,
    existing: Annotated[
        bool,
        typer.Option("--existing", help="All evaluations in the store; --env, --recipe narrow it."),
    ] = False,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="terminal, markdown, latex, csv (every figure), results (CSV, a line an "
            "evaluation), json or html (default: by --output's suffix).",
            autocompletion=complete_format,
        ),
    ] = None,
    with_paper: Annotated[
        bool, typer.Option("--with-paper", help="The paper's printed figures beside one's own.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the content to a file.")
    ] = None,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="All tables and notes and a tree, on a terminal.")
    ] = False,
    engine: Annotated[str | None, typer.Option("--engine", help=ENGINE_HELP)] = None,
) -> None:
    """Make the report: the whole pipeline, exactly the evaluations given, or all there are."""
    from tratree_cli.errors import InputError
    from tratree_cli.reporting import report_stage as stage
    from tratree_cli.reporting import study

    form = check_output(form, output)
    made = "--methods" if methods else "--controls" if controls is not None else ""
    if existing and (evaluations or made):
        other = "evaluations that are named" if evaluations else made
        raise InputError(f"--existing takes all that is in the store; drop it, or drop {other}")
    named = evaluations or []
    if engine and (existing or named):
        raise InputError("--engine plays models, but only evaluations that exist are reported")
    given = _existing(session) if existing else session.entries(named, ("evaluation",))
    if given and made:
        raise InputError(f"{made} says what to evaluate, but evaluations are given; drop it")
    if given:
        # Evaluations of several environments may stand in one report, so nothing is inherited
        # from the first but what the store records of it anyway.
        config = session.config(given[:1])
        node = stage.of_evaluations(
            config, given, session.opened_store, all_policies=existing, with_paper=with_paper
        )
        entry = session.realise(node)
        if entry is not None:
            deliver(session, entry, form, output, long)
        return
    config = session.config(explore__backend=engine)
    names = study.chosen_methods(methods, config, controls)
    config = config.with_values({"report": {"methods": list(names), "controls": []}}, "--methods")
    cells = study.study_cells(config, names, controls=controls)
    if session.dry_run:
        session.realise(stage.of_cells(config, cells, with_paper=with_paper))
    else:
        deliver_cells(session, config, cells, form, output, with_paper, long)


def _existing(session: Session) -> list[Entry]:
    """All evaluations in the store, oldest first, of the environment and recipe that are named."""
    from tratree_cli.errors import InputError

    found = []
    for entry in session.opened_store.entries(kind="evaluation"):
        made = entry.provenance["config"]
        if session.env in (None, made["env"]["name"]) and session.recipe in (None, made["recipe"]):
            found.append(entry)
    found = _without_mere_parts(session, found)
    if not found:
        narrowed = [f"of {session.env}" if session.env else ""]
        narrowed += [f"by recipe {session.recipe}" if session.recipe else ""]
        which = " ".join(["no evaluation", *filter(None, narrowed)])
        raise InputError(
            f"{session.store_root} holds {which}; make some with tratree eval or tratree run"
        )
    # What is narrowed by is no contradiction of what the first evaluation was made with.
    session.env = session.recipe = None
    return found[::-1]


def check_output(form: str | None, output: Path | None) -> str:
    """The format: what was asked for, or what the output's suffix says.

    An unknown one, an output without a folder, and a page that would be written onto a terminal
    are refused before hours are spent.
    """
    from tratree_cli.errors import InputError, did_you_mean

    if form is None:
        suffix = output.suffix.removeprefix(".").lower() if output is not None else ""
        if suffix == "pdf":
            raise InputError(
                f"--output {output}: a PDF is what a browser prints of the page; write "
                f"report.html and print that"
            )
        form = OTHER_NAMES.get(suffix, suffix if suffix in REPORT_FORMATS else "terminal")
    if form not in REPORT_FORMATS:
        meant = OTHER_NAMES.get(form, form)
        hint = (
            f" (did you mean '{meant}'?)" if meant != form else did_you_mean(form, REPORT_FORMATS)
        )
        raise InputError(
            f"there is no format '{form}'{hint}; there are {', '.join(REPORT_FORMATS)}"
        )
    if output is not None and not output.parent.is_dir():
        raise InputError(f"--output {output}: there is no folder {output.parent}")
    if form == "html" and output is None and sys.stdout.isatty():
        raise InputError("a page is no text for a terminal; add --output report.html")
    return form


def deliver_cells(
    session: Session,
    config: Config,
    cells: Sequence[StudyCell],
    form: str,
    output: Path | None,
    with_paper: bool,
    long: bool = False,
) -> None:
    """Compute the cells of a study and deliver their report; a cell that fails costs only itself.

    Raises ``PartialError`` after the report of the others, and what stopped the cells where there
    are no others.
    """
    from tratree_cli.errors import PartialError
    from tratree_cli.reporting import report_stage as stage

    node = stage.of_cells(config, cells, with_paper=with_paper)
    losses = session.attempt(node)
    if losses:
        node = stage.of_cells(config, cells, losses.keys, with_paper=with_paper)
        if not node.inputs["evaluation"]:
            raise losses.failed[0][1]
    entry = session.realise(node)
    assert entry is not None
    deliver(session, entry, form, output, long)
    if losses and session.as_json:
        # One object on stdout, which has what is missing among its warnings.
        raise typer.Exit(PartialError.exit_code)
    if losses:
        failed = "; ".join(f"{session.runtime.label(n)} ({error})" for n, error in losses.failed)
        raise PartialError(
            f"failed: {failed}; the report is made of what does not need it, "
            f"{len(node.inputs['evaluation'])} of {len(cells)} evaluations, and the same command "
            "tries again"
        )


def deliver(
    session: Session, entry: Entry, form: str, output: Path | None, long: bool = False
) -> None:
    """Print the report, or write it to a file and print its reference."""
    from rich.text import Text

    from tratree_cli.reporting import report_stage as stage
    from tratree_cli.reporting.render.written import written

    document = stage.document_of(session.opened_store, entry)
    if output is not None:
        output.write_text(written(document, form), encoding="utf-8")
        session.runtime.reporter.show(Text(f"written to {output}"))
        session.print_entry(entry)
    elif session.as_json and form == "terminal":
        session.print_entry(entry)
    elif form == "terminal":
        show_report(document, session, entry, long)
    else:
        print_text(written(document, form))


def show_report(document: ReportDocument, session: Session, entry: Entry, long: bool) -> None:
    """The report on the terminal: one screen, or all tables and a tree; what to type next."""
    from dataclasses import replace

    from rich.console import Group
    from rich.text import Text

    from tratree_cli.display.progress import stdout_console
    from tratree_cli.reporting import lineage
    from tratree_cli.reporting.artifact_views import typical_tree_view
    from tratree_cli.reporting.render import terminal
    from tratree_cli.reporting.render.screen import screen

    console = stdout_console()
    trees = lineage.inputs(session.opened_store, entry, "tree")
    if long:
        console.print(terminal.render(replace(document, next_step="")))
        for tree in trees[:1]:
            console.print(typical_tree_view(tree))
    else:
        console.print(Group(*screen(document)))
    if trees:
        follow = next_step(trees[0], store=session.store)
        console.print(Text.assemble("\nNext: ", (follow, "bold")))


def _without_mere_parts(session: Session, found: list[Entry]) -> list[Entry]:
    """Without the evaluations that only a search for the length of SFT made.

    A model that was only tried is no policy of its own. The model that was chosen is one, and where
    other policies were evaluated on the same tasks, the search's evaluation of it stands beside.
    """
    models = session.opened_store.entries(kind="model", stage="sft-auto")
    chosen = {model.object for model in models}
    asked = [entry for entry in found if not entry.provenance.get("part_of")]
    played = [_tasks(entry) for entry in asked]
    return [
        entry
        for entry in found
        if not entry.provenance.get("part_of")
        or (chosen & set(entry.inputs["policy"]) and _tasks(entry) in played)
    ]


def _tasks(evaluation: Entry) -> tuple[object, ...]:
    """What was played: the environment, and which of its tasks how often."""
    params, environment = evaluation.document["params"], evaluation.document.get("environment")
    return (environment, *(params.get(name) for name in ("split", "tasks", "samples")))

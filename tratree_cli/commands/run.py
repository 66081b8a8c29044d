"""``tratree run``: a whole study, methods × training seeds × swept settings, and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from tratree_cli.commands.completion import complete_format
from tratree_cli.commands.engines import ENGINE_HELP
from tratree_cli.commands.registered import complete_methods, listed, study_methods
from tratree_cli.commands.report import check_output, deliver_cells
from tratree_cli.commands.session import Session, stage_command

if TYPE_CHECKING:
    from tratree_cli.config import Config
    from tratree_cli.pipeline.graph import Node

app = typer.Typer()


@app.command()
@stage_command
def run(
    session: Session,
    seeds: Annotated[
        int, typer.Option("--seeds", help="Training seeds, counted from --seed.", min=1)
    ] = 1,
    orders: Annotated[
        int | None,
        typer.Option(
            "--orders",
            help="Orders of rows a seed, from train.data_seed (else 0) on; averaged before tests.",
            min=1,
        ),
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
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            "--sweep", metavar="KEY=A,B,...", help="Values of a parameter beside the recipe's own."
        ),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="All combinations of the sweeps, not one at a time.")
    ] = False,
    rounds: Annotated[
        int | None,
        typer.Option(
            "--rounds",
            metavar="R",
            help="Explore and train again, up to R rounds, as long as dev gains; beside it one "
            "round with the episodes and updates of all.",
            min=1,
        ),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option(
            "--chain",
            metavar="A,B,...",
            help="Models, the smallest first: each one's W2SG model explores for the next.",
        ),
    ] = None,
    restart: Annotated[
        bool | None,
        typer.Option(
            "--restart-from-demos/--no-restart",
            help="Beside a chain: each link explored by the SFT weak model (default: as controls).",
        ),
    ] = None,
    form: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="terminal, markdown, latex, csv, json or html (default: by --output's suffix).",
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
    """Run a study over seeds, methods and settings; ends with the report of all cells."""
    from tratree_cli.commands.recipe_fit import require_fitting_recipe
    from tratree_cli.errors import InputError
    from tratree_cli.reporting import report_stage as stage
    from tratree_cli.reporting import study

    form = check_output(form, output)
    models = None if chain is None else [name.strip() for name in chain.split(",")]
    config = session.config(explore__backend=engine, rounds__number=rounds, chain__models=models)
    if restart is not None and not config.chain.models:
        raise InputError("--restart-from-demos is the control of a chain; add --chain A,B,...")
    cells = study.study_cells(
        config,
        study.chosen_methods(methods, config, controls),
        controls=controls,
        restart=restart,
        seeds=seeds,
        orders=orders,
        sweeps=study.parse_sweeps(sweep or [], config),
        grid=grid,
    )
    for cell in cells:
        require_fitting_recipe(cast("Config", cell.evaluation.config), session.runtime.command)
    session.runtime.labels = study.labels(cells)
    if session.dry_run:
        _print_plan(session, stage.of_cells(config, cells, with_paper=with_paper))
    else:
        deliver_cells(session, config, cells, form, output, with_paper, long)


def _print_plan(session: Session, node: Node) -> None:
    """One line a kind of stage, because a study has hundreds of nodes; ``--json`` names each."""
    from tratree_cli.commands.plan_output import print_grouped_plan, print_plan
    from tratree_cli.errors import WouldRunError

    lines = session.runtime.plan(node)
    if session.as_json:
        print_plan(lines, as_json=True)
    else:
        print_grouped_plan(lines, session.runtime.jobs)
    if session.exit_code and any(line.state != "cached" for line in lines):
        raise WouldRunError("something would run (--exit-code)")

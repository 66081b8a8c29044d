"""``tratree export``: pairs, paths, rollouts and demos → files that other trainers read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.commands.project import default_store
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_store import Entry

app = typer.Typer()


@app.command()
def export(
    reference: Annotated[str, typer.Argument(help="Pairs, paths, rollouts or demos.")],
    output: Annotated[Path, typer.Argument(help="File to write (JSON lines; eto: a JSON list).")],
    form: Annotated[str, typer.Option("--format", help="trl, sharegpt or eto.")] = "trl",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)] = False,
) -> None:
    """Write an artifact in the layout of another trainer; prints how many records."""
    from tratree_store import Store

    from tratree_cli.formats.exporting import write_export

    entry = Store(store or default_store()).resolve(reference)
    if output.exists() and not force:
        raise InputError(f"{output} exists; choose another file or add --force")
    count = write_export(_records(entry, form), output, form)
    typer.echo(f"{count} records of {entry.ref} written to {output}", err=True)


def _records(entry: Entry, form: str) -> Iterator[dict[str, Any]]:
    from tratree_cli.formats import exporting

    if entry.kind == "pairs":
        from tratree_cli.formats.pairs import read_pairs

        return exporting.export_pairs(read_pairs(entry.path).pairs, form)
    if entry.kind == "paths":
        from tratree_cli.formats.paths import read_paths

        return exporting.export_paths(read_paths(entry.path).paths, form)
    if entry.kind in ("rollouts", "demos"):
        from tratree_cli.formats.rollouts import read_rollouts

        return exporting.export_rollouts(read_rollouts(entry.path), form)
    raise InputError(f"{entry.kind} cannot be exported; pairs, paths, rollouts and demos can")

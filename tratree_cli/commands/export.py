"""``tratree export``: artifacts → files that other trainers, viewers and the hub read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.commands.completion import complete_export, complete_reference
from tratree_cli.commands.output import say
from tratree_cli.commands.project import default_store
from tratree_cli.display.text import counted
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_store import Entry, Store

app = typer.Typer()


@app.command()
def export(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="REF",
            help="Artifacts; without --hub one, and the file to write.",
            autocompletion=complete_reference,
        ),
    ],
    form: Annotated[
        str | None,
        typer.Option(
            "--to",
            "--format",
            metavar="FORMAT",
            help="trl, sharegpt, eto or inspect (default: inspect for .eval, else trl).",
            autocompletion=complete_export,
        ),
    ] = None,
    hub: Annotated[
        str | None,
        typer.Option(
            "--hub",
            metavar="DIR|REPO",
            help="A folder as the Hugging Face hub has it, or OWNER/NAME to push it.",
        ),
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--license", help="With --hub: the licence on the card.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="With --hub OWNER/NAME: for everyone to see.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)] = False,
) -> None:
    """Write artifacts as other programs read them.

    An archive for another store is what `tratree store export` writes.
    """
    from tratree_store import Store

    opened = Store(store or default_store())
    if hub is not None:
        if form is not None or force:
            raise InputError(
                "--hub has its own layout and overwrites nothing; drop --to and --force"
            )
        _to_hub(opened, [opened.resolve(word) for word in words], hub, licence, public)
        return
    if licence is not None or public:
        raise InputError("--license and --public are about --hub; add it, or drop them")
    if len(words) != 2:
        raise InputError("export takes a reference and a file to write, or references and --hub")
    entry, output = opened.resolve(words[0]), Path(words[1])
    if output.exists() and not force:
        raise InputError(f"{output} exists; choose another file or add --force")
    form = form or ("inspect" if output.suffix == ".eval" else "trl")
    count = counted(_written(entry, output, form), "record")
    say(f"{count} of {entry.ref} written to {output}")


def _written(entry: Entry, output: Path, form: str) -> int:
    """Write the file; return the number of its records."""
    if form == "inspect":
        from tratree_cli.publishing.inspect_view import write_log

        return write_log(entry, output)
    from tratree_cli.formats.exporting import write_export

    return write_export(_records(entry, form), output, form)


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


def _to_hub(
    store: Store, entries: list[Entry], place: str, licence: str | None, public: bool
) -> None:
    from tratree_cli.publishing import hub

    kind = hub.repository_type(entries)
    if not hub.is_repository(place):
        if public:
            raise InputError(f"{place} is a folder, which nobody else sees; drop --public")
        hub.write_hub_folder(store, entries, Path(place), licence)
        say(
            f"{kind} written to {place} from {counted(len(entries), 'artifact')}; see its README.md"
        )
        return
    if hub.token() is None:
        raise InputError(
            f"there is no token to push {place} with; log in (`hf auth login`) or set HF_TOKEN, "
            f"or write ./{place} for a folder"
        )
    import tempfile

    with tempfile.TemporaryDirectory(prefix="tratree-hub-") as beside:
        folder = Path(beside) / "hub"
        hub.write_hub_folder(store, entries, folder, licence)
        say(f"pushed to {hub.push_folder(folder, place, kind, public=public)}")

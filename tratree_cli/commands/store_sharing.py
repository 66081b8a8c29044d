"""``tratree store push | pull | export | import``: artifacts to and from other places.

Registered on the ``store`` application; a file of its own, because sharing is a story of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratree_cli.commands.output import entry_json, print_json, print_line, say
from tratree_cli.commands.store_options import AsJson, Ref, StoreFolder, open_store

if TYPE_CHECKING:
    from tratree_store import Entry

Refs = Annotated[list[str], typer.Argument(metavar="REF...", help="What travels.")]
WithLineage = Annotated[bool, typer.Option(help="With everything that went into it.")]
Transfers = Annotated[int, typer.Option("--jobs", "-j", min=1, help="Transfers at once.")]
Url = Annotated[str, typer.Argument(metavar="URL", help="Folder or fsspec URL (s3://, ssh://...).")]


def add_to(app: typer.Typer) -> None:
    """Register the four commands."""
    app.command()(push)
    app.command()(pull)
    app.command("export")(export_artifact)
    app.command("import")(import_artifact)


def push(
    context: typer.Context,
    url: Url,
    refs: Refs,
    lineage: WithLineage = True,
    jobs: Transfers = 8,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Copy artifacts to a folder or URL; only what is missing there travels."""
    from tratree_store import remote

    opened = open_store(context, store)
    entries = [opened.resolve(ref) for ref in refs]
    known = opened.names()
    names = {ref: entry for ref, entry in zip(refs, entries, strict=True) if ref in known}
    with transfer_bar("pushing") as progress:
        done = remote.push(
            opened, entries, url, names=names, lineage=lineage, jobs=jobs, on_progress=progress
        )
    _told("pushed", done.as_json(), entries, as_json)


def pull(
    context: typer.Context,
    url: Url,
    refs: Refs,
    lineage: WithLineage = True,
    jobs: Transfers = 8,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Copy artifacts from a folder or URL, checking every digest."""
    from tratree_store import remote

    opened = open_store(context, store)
    with transfer_bar("pulling") as progress:
        entries, done = remote.pull(
            opened, refs, url, lineage=lineage, jobs=jobs, on_progress=progress
        )
    _told("pulled", done.as_json(), entries, as_json)


def _told(verb: str, totals: dict[str, Any], entries: list[Entry], as_json: bool) -> None:
    from tratree_cli.display.text import size

    for entry in entries:
        if as_json:
            print_json({**entry_json(entry), "transfer": totals})
        else:
            print_line(entry.ref)
    say(
        f"{verb} {totals['objects']} objects, {totals['files']} files, "
        f"{size(totals['bytes'])}; {totals['skipped']} objects were there already"
    )


@contextmanager
def transfer_bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr (bytes done, bytes in all), if stderr is a terminal."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    from tratree_cli.display import colours

    console = colours.console(stderr=True)
    columns = (doing, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def export_artifact(
    context: typer.Context,
    ref: Ref,
    path: Annotated[Path, typer.Argument(help="Such as weak.tar or weak.tar.gz.")],
    lineage: WithLineage = True,
    store: StoreFolder = None,
) -> None:
    """Write an archive for `store import` elsewhere (`tratree export`: for other programs)."""
    from tratree_store import archive

    opened = open_store(context, store)
    entry = opened.resolve(ref)
    archive.export(opened, entry, path, lineage=lineage)
    print_line(entry.ref)
    say(f"wrote {path}")


def import_artifact(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="The archive.")],
    store: StoreFolder = None,
) -> None:
    """Take in an archive; a damaged or hostile one is refused, with nothing written."""
    from tratree_store import archive

    opened = open_store(context, store)
    for entry in archive.import_archive(opened, path):
        print_line(entry.ref)

"""``tratree store``: list, explain, check, collect and share what was made.

Content goes to stdout (with ``--json``: one JSON object a line), words for people to stderr. The
store's own errors carry sentences and exit codes, so nothing is caught here.
"""

from __future__ import annotations

import functools
import time
from typing import Annotated

import typer

from tratree_cli.commands import store_sharing
from tratree_cli.commands.output import entry_json, print_content, print_json, print_line, say
from tratree_cli.commands.store_options import (
    AsJson,
    Ref,
    StoreFolder,
    open_store,
    require_known,
)

app = typer.Typer(no_args_is_help=True, help="The artifact store: what was made, from what, why.")


@app.command()
def init(
    context: typer.Context,
    shared: Annotated[
        bool, typer.Option("--shared", help="For every member of the folder's group.")
    ] = False,
    store: StoreFolder = None,
) -> None:
    """Create a store; what exists stays. Any stage does the same, but never shares it."""
    opened = open_store(context, store)
    if shared:
        opened.share()
        say(f"{opened.root} is shared by the group {opened.group}")
    else:
        opened.prepare()
    print_line(str(opened.root))


@app.command("ls")
def list_artifacts(
    context: typer.Context,
    kind: Annotated[str | None, typer.Argument(help="Only this kind.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only what this stage made.")] = None,
    limit: Annotated[
        int, typer.Option("-L", "--limit", min=0, help="Only the newest N, 0: all.", metavar="N")
    ] = 50,
    long: Annotated[
        bool, typer.Option("--long", "-l", help="Also stage, recipe, time, size and summary.")
    ] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """List artifacts, newest first."""
    opened = open_store(context, store)
    require_known(opened, kind, stage)
    found = opened.entries(kind=kind, stage=stage, limit=limit or None)
    if as_json:
        for entry in found:
            print_json(entry_json(entry))
        return
    entries = list(found)
    if not entries:
        what = " ".join(["nothing", *([f"of kind '{kind}'"] if kind else [])])
        what += f" made by {stage}" if stage else ""
        say(f"{what} in {opened.root} yet; `tratree report --env webshop` makes everything")
        return
    from tratree_cli.display.artifacts import listing
    from tratree_cli.methods.registry import title

    print_content(listing(entries, opened.names(), time.time(), long=long, title=title))
    if limit and len(entries) == limit:
        say(f"the newest {limit}; `--limit 0` lists all")


@app.command()
def show(
    context: typer.Context, ref: Ref, store: StoreFolder = None, as_json: AsJson = False
) -> None:
    """Show how an artifact was made: recipe, inputs, provenance, files.

    What is in it is what `tratree show` shows.
    """
    from tratree_store.objects import read_manifest

    opened = open_store(context, store)
    entry = opened.resolve(ref)
    files = [(file.path, file.size) for file in read_manifest(opened.objects, entry.object).files]
    names = [name for name, named in opened.names().items() if named == entry.ref]
    if as_json:
        more = {"document": entry.document, "provenance": entry.provenance, "names": names}
        print_json({**entry_json(entry), **more, "files": dict(files)})
        return
    from tratree_cli.display.artifacts import details

    print_content(details(entry, files, names))


@app.command()
def why(
    context: typer.Context, ref: Ref, store: StoreFolder = None, as_json: AsJson = False
) -> None:
    """Tell why an artifact was made, that is: why it was not cached."""
    from tratree_store.why import Reason

    entry = open_store(context, store).resolve(ref)
    reason = Reason.from_json(entry.reason)
    if as_json:
        print_json({"ref": entry.ref, "recipe": entry.recipe, **reason.as_json()})
        return
    from tratree_cli.display.artifacts import reasons

    print_content(reasons(reason, f"{entry.stage} made {entry.kind}:{entry.object[:12]} because"))


@app.command()
def log(
    context: typer.Context,
    ref: Ref,
    store: StoreFolder = None,
    mermaid: Annotated[bool, typer.Option(help="As a Mermaid flow chart.")] = False,
    dot: Annotated[bool, typer.Option(help="For Graphviz.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw what an artifact was made from; for a name, its history too."""
    from tratree_store.lineage import node_of

    opened = open_store(context, store)
    entry = opened.resolve(ref)
    graph = opened.lineage([entry])
    if as_json:
        for node in graph.as_json():
            print_json(node)
    elif mermaid or dot:
        print_line(graph.mermaid() if mermaid else graph.dot())
    else:
        from tratree_cli.display.artifacts import ancestry, foreign

        for naming in opened.refs.history(ref):
            when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(naming.time))
            print_content(foreign(f"{when}  {ref} → {naming.ref[:24] or 'nothing'}"))
        print_content(ancestry(graph, node_of(entry)))


@app.command()
def diff(
    context: typer.Context,
    a: Ref,
    b: Ref,
    store: StoreFolder = None,
    exit_code: Annotated[bool, typer.Option(help="Exit 1 if the contents differ.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two artifacts: their recipes, summaries and files."""
    from tratree_store.differences import compare

    opened = open_store(context, store)
    found = compare(opened.objects, opened.resolve(a), opened.resolve(b))
    if as_json:
        print_json(found.as_json())
    else:
        from tratree_cli.display.artifacts import comparison

        print_content(comparison(found))
    if exit_code and not found.same_content:
        raise typer.Exit(1)


@app.command()
def name(
    context: typer.Context,
    word: Annotated[str, typer.Argument(metavar="NAME", help="Such as weak or study/seed1/weak.")],
    ref: Annotated[str | None, typer.Argument(metavar="REF", help="What it shall mean.")] = None,
    delete: Annotated[bool, typer.Option("--delete", "-d", help="Forget the name.")] = False,
    store: StoreFolder = None,
) -> None:
    """Give an artifact a name (kept by gc), or say what a name means."""
    opened = open_store(context, store)
    if delete:
        opened.resolve(word)
        opened.name(word, None)
        say(f"{word} means nothing any more")
        return
    entry = opened.resolve(ref or word)
    if ref is not None:
        opened.name(word, entry)
    print_line(entry.ref)


@app.command()
def pin(
    context: typer.Context,
    ref: Ref,
    delete: Annotated[bool, typer.Option("--delete", "-d", help="Let gc have it again.")] = False,
    store: StoreFolder = None,
) -> None:
    """Keep an artifact (and what it was made from) from collection."""
    from tratree_store.refs import PINS

    opened = open_store(context, store)
    entry = opened.resolve(ref)
    opened.name(f"{PINS}{entry.kind}-{entry.object[:16]}", None if delete else entry)
    print_line(entry.ref)


@app.command()
def gc(
    context: typer.Context,
    younger_than: Annotated[
        str, typer.Option(metavar="SPAN", help="Keep what was made or used in it: 12h, 7d, 0.")
    ] = "7d",
    drop_inputs: Annotated[
        bool, typer.Option("--drop-inputs", help="Also take what kept artifacts were made from.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only tell.")] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Delete what no name, pin, recent use or running process needs."""
    from tratree_store import gc as collection

    from tratree_cli.display.text import duration, size

    opened = open_store(context, store)
    act = collection.plan if dry_run else collection.collect
    found = act(opened, younger_than=_seconds(younger_than), drop_inputs=drop_inputs)
    for going in found.entries:
        ref = f"{going.kind}:{going.object}"
        if as_json:
            line = {"ref": ref, "stage": going.stage, "size": going.size}
            print_json({**line, "seconds": going.seconds, "created": going.created})
        else:
            again = duration(going.seconds)
            print_line(f"{ref}  {size(going.size)}  {again} to make again")
    verb = "would free" if dry_run else "freed"
    say(
        f"{verb} {size(found.size)} in {len(found.objects)} objects "
        f"({duration(found.seconds)} to make again); {found.kept} kept, "
        f"{len(found.leftovers)} leftovers"
    )


def _seconds(span: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    number, unit = (span[:-1], units[span[-1]]) if span[-1:] in units else (span, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e12:
        raise typer.BadParameter(f"{span!r} is no span; write 90s, 30m, 12h, 7d or 4w.")
    return seconds


@app.command()
def fsck(
    context: typer.Context,
    repair: Annotated[
        bool, typer.Option(help="Put what is broken into quarantine, rebuild the index.")
    ] = False,
    quick: Annotated[bool, typer.Option(help="Compare large files by size only.")] = False,
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte, record, name and the index; exit 12 if something is broken."""
    from tratree_store import fsck as checking

    opened = open_store(context, store)
    report = checking.check(opened, deep=not quick)
    for finding in report.findings:
        if as_json:
            print_json(finding.as_json())
        else:
            print_line(f"{'error' if finding.error else 'note'}: {finding.text}")
    if repair:
        for deed in checking.repair(opened, report):
            say(deed)
        report = checking.check(opened, deep=not quick)
    state = "clean" if report.clean else "broken"
    say(f"{report.objects} objects, {report.entries} entries, {report.names} names: {state}")
    if not report.clean:
        raise typer.Exit(12)


@app.command()
def reindex(context: typer.Context, store: StoreFolder = None) -> None:
    """Rebuild the index from what lies on disk."""
    opened = open_store(context, store)
    if not opened.root.is_dir():
        say(f"there is no store in {opened.root}")
        return
    say(f"{opened.reindex()} entries")


@app.command()
def verify(
    context: typer.Context,
    ref: Ref,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Run the recipe again and compare the bytes.")
    ] = False,
    store: StoreFolder = None,
) -> None:
    """Hash every byte of an artifact; exit 12 if something is wrong."""
    opened = open_store(context, store)
    entry = opened.resolve(ref)
    problems = opened.verify(entry)
    if not problems and recompute:
        from tratree_store.recompute import recompute as run_again

        from tratree_cli.pipeline.code_digest import changed, join_names
        from tratree_cli.pipeline.recompute import rerun
        from tratree_cli.stages.recorded import recorded_node

        found = run_again(opened, entry, functools.partial(rerun, node_of=recorded_node))
        if found is not None:
            files = changed(entry)
            since = f"; source code changed since: {join_names(files)}" if files else ""
            problems = [found + since]
    for problem in problems:
        say(problem)
    if problems:
        raise typer.Exit(12)
    print_line(entry.ref)
    say("made again with the same bytes" if recompute else "every byte is as it was made")


store_sharing.add_to(app)

"""``tratree show``: any artifact and any task of it, in the terminal or for other programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.completion import (
    TREE_FORMATS,
    complete_reference,
    complete_tree_format,
)
from tratree_cli.commands.output import print_content, print_json_lines, print_line, print_text
from tratree_cli.commands.project import default_store
from tratree_cli.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from tratree_store import Entry


app = typer.Typer()


@app.command()
def show(
    references: Annotated[
        list[str],
        typer.Argument(
            help="One artifact, or several evaluations.", autocompletion=complete_reference
        ),
    ],
    task: Annotated[str | None, typer.Option("--task", help="One task of it.")] = None,
    depth: Annotated[int, typer.Option("--depth", help="Trees: depth, 0 for all.", min=0)] = 0,
    min_visits: Annotated[
        int, typer.Option("--min-visits", help="Trees: leave out rarer nodes.", min=0)
    ] = 0,
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="Trees: terminal, mermaid, dot, json or html.",
            autocompletion=complete_tree_format,
        ),
    ] = "terminal",
    scored: Annotated[
        bool, typer.Option("--scored", help="Pairs, demos: the text that enters the loss.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Stream the records.")] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", envvar="TRATREE_STORE", help="Store folder [.tratree]."),
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.", hidden=True)] = False,
) -> None:
    """Show what is in an artifact: a forest, its trees, a pair, a path, a model card, ...

    How it was made is what `tratree store show` shows.
    """
    from tratree_store import Store

    check_format(form)
    from tratree_cli.reporting import artifact_views as views

    opened = Store(store or default_store())
    entries = [opened.resolve(text) for text in references]
    if len(entries) > 1:
        print_content(views.case_study_view(opened, entries, task))
        return
    entry = entries[0]
    if entry.kind == "tree":
        _show_tree(entry, task, depth, min_visits, "json" if as_json else form)
    elif as_json:
        print_json_lines(views.artifact_records(entry, task))
    elif scored:
        print_line("\n".join(views.scored_lines(opened, entry, task)))
    else:
        print_content(views.artifact_view(opened, entry, task))


def check_format(form: str) -> None:
    """Refuse an unknown format, and a page on a terminal."""
    if form not in TREE_FORMATS:
        raise InputError(
            f"there is no format '{form}'{did_you_mean(form, TREE_FORMATS)}; "
            f"there are {', '.join(TREE_FORMATS)}"
        )
    if form == "html" and sys.stdout.isatty():
        raise InputError("a page is no text for a terminal; write it to a file: ... > tree.html")


def _show_tree(entry: Entry, task: str | None, depth: int, min_visits: int, form: str) -> None:
    from tratree_cli.display import forest
    from tratree_cli.display.graph_rows import graph_rows
    from tratree_cli.display.tree_rows import tree_rows
    from tratree_cli.display.valid_actions import most_informative
    from tratree_cli.formats.trees import read_tree
    from tratree_cli.reporting import artifact_views as views
    from tratree_cli.reporting.render import tree_exports
    from tratree_cli.trees.search.api import search

    tree = read_tree(entry.path)
    if form == "json":
        draw = tree_exports.tree_json if tree.graph is None else tree_exports.graph_json
        records = draw(tree)
        print_json_lines(record for record in records if task is None or record["task"] == task)
        return
    found = search(tree.forest)
    if task is None and form == "terminal":
        print_content(forest.render_forest(tree, search=found, max_depth=depth))
        return
    ranked = most_informative(tree)
    if not ranked:
        raise InputError(f"{entry.ref[:24]} has no tree with a scored trajectory to draw")
    number = views.tree_number(tree, task, entry) if task is not None else ranked[0]
    if form == "terminal" and tree.graph is not None:
        print_content(forest.render_graph(tree, number, max_depth=depth, min_visits=min_visits))
    elif form == "terminal":
        print_content(
            forest.render_tree(tree, number, found, max_depth=depth, min_visits=min_visits)
        )
    elif form == "html":
        numbers = [number] if task is not None else None
        print_text(tree_exports.forest_html(tree, numbers, found))
    else:
        rows = (
            tree_rows(tree, number, found, depth, min_visits)
            if tree.graph is None
            else graph_rows(tree, number, depth, min_visits)[0]
        )
        name = tree.forest.columns.tasks[number]
        write = tree_exports.tree_mermaid if form == "mermaid" else tree_exports.tree_dot
        print_text(write(rows, name))

"""What the store's commands share: opening the store, and printing for people and programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tratree_store import Entry, Store

Ref = Annotated[str, typer.Argument(metavar="REF", help="kind:prefix, prefix, name, kind@latest.")]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="Store folder [TRATREE_STORE, .tratree].")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]


def open_store(context: typer.Context, folder: Path | None) -> Store:
    """The store that the options, the caller or the environment name."""
    from tratree_store import Store

    given = getattr(context.obj, "store_root", None)
    root = folder or given or Path(os.environ.get("TRATREE_STORE") or ".tratree")
    return Store(Path(root), on_warning=lambda text: say(f"warning: {text}"))


def say(text: str) -> None:
    """One line for people."""
    clean = "".join(c if c.isprintable() else " " for c in text)
    sys.stderr.write(f"{clean}\n")


def put_json(value: dict[str, Any]) -> None:
    """One JSON object on a line of its own."""
    import orjson

    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def put(renderable: object) -> None:
    """Content for people, on stdout; full width when it is not a terminal."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200, soft_wrap=False).print(renderable)


def row(entry: Entry) -> dict[str, Any]:
    """What ``--json`` tells of an artifact."""
    return {
        "ref": entry.ref,
        "recipe": entry.recipe,
        "kind": entry.kind,
        "stage": entry.stage,
        "created": entry.created,
        "seconds": entry.seconds,
        "size": entry.size,
        "path": str(entry.path),
        "summary": entry.summary,
        "inputs": entry.inputs,
    }

"""What the store's commands share: their options, and opening the store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tratree_cli.commands.completion import complete_reference
from tratree_cli.commands.output import say
from tratree_cli.commands.project import default_store

if TYPE_CHECKING:
    from tratree_store import Store

Ref = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="kind:prefix, prefix, name, kind@latest.",
        autocompletion=complete_reference,
    ),
]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", help="Store folder [TRATREE_STORE, .tratree].")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines on stdout.")]


def open_store(context: typer.Context, folder: Path | None) -> Store:
    """The store that the options, the caller or the environment name."""
    from tratree_store import Store

    given = getattr(context.obj, "store_root", None)
    root = folder or given or os.environ.get("TRATREE_STORE") or default_store()
    return Store(Path(root), on_warning=lambda text: say(f"warning: {text}"))


KINDS = (
    "demos",
    "model",
    "rollouts",
    "tree",
    "pairs",
    "paths",
    "evaluation",
    "report",
    "ref-logps",
)


def require_known(store: Store, kind: str | None, stage: str | None) -> None:
    """Refuse a kind or a stage that is none of ours and of which the store holds nothing."""
    from tratree_cli.errors import InputError, did_you_mean

    for noun, word in (("kind", kind), ("stage", stage)):
        if word is None or (noun == "kind" and word in KINDS):
            continue
        present = list(dict.fromkeys(getattr(entry, noun) for entry in store.entries()))
        if word not in present:
            known = [*KINDS, *present] if noun == "kind" else present
            raise InputError(
                f"there is no {noun} '{word}' in {store.root}{did_you_mean(word, known)}; "
                f"there are {', '.join(dict.fromkeys(known)) or 'none yet'}"
            )

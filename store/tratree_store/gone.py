"""What used to be here: records of entries that were collected or put aside.

A record moves from ``entries/`` to ``gone/`` when its object goes, with the reason. It costs a
kilobyte, and answers "why does this run again?" months later; nothing else reads it.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tratree_store import entries as records
from tratree_store.atomic import read_plain, seal, unseal, write_atomic
from tratree_store.entries import Entry
from tratree_store.errors import VerificationError

Why = Literal["collected", "broken"]


@dataclass(frozen=True)
class Gone:
    """An entry that was here until ``at`` (seconds since 1970)."""

    entry: Entry
    why: Why
    at: float


def path_of(gone: Path, recipe: str, digest: str) -> Path:
    """Where the record of a former entry lies."""
    return records.record_path(gone, recipe, digest)


def bury(gone: Path, record: Path, why: Why, scratch: Path, durable: bool) -> None:
    """Write what is known of the entry at ``record`` and why it goes, then remove the record."""
    note(gone, record, read_plain(record), why, scratch, durable)
    record.unlink(missing_ok=True)


def note(gone: Path, record: Path, data: bytes, why: Why, scratch: Path, durable: bool) -> None:
    """Keep ``data``, the bytes of the record at ``record``, with the reason why it goes."""
    recipe, digest = record.parent.parent.name + record.parent.name, record.stem
    # A broken record may hold any bytes; what is kept of it is for people.
    text = data.decode("utf-8", "replace")
    sealed = seal({"why": why, "at": round(time.time(), 3), "record": text})
    write_atomic(path_of(gone, recipe, digest), sealed, scratch, durable)


def read(path: Path, objects: Path) -> Gone:
    """The former entry in a file; raises ``VerificationError`` or ``OSError``."""
    line = unseal(read_plain(path), f"the note {path.name[:12]} in gone/")
    try:
        why: Why = "collected" if line["why"] == "collected" else "broken"
        data, at = str(line["record"]).encode("utf-8"), float(line["at"])
    except (KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise VerificationError(f"the note {path} is damaged") from error
    return Gone(records.decode(data, objects, f"the note {path.name[:12]} in gone/"), why, at)


def newest(gone: Path, recipe: str, objects: Path) -> Gone | None:
    """The latest former entry of a recipe that can be read."""
    found = []
    for path in records.of_recipe(gone, recipe):
        try:
            found.append(read(path, objects))
        except (OSError, VerificationError):
            continue
    return max(found, key=lambda g: g.at, default=None)

"""Names: words that people give to artifacts, each with its history.

``refs/NAME`` (with ``/`` written ``%2F``) is one small file of sealed lines, oldest first; the last
line is what the name means now. Names are resolved before anything is hashed, so they never enter a
key, and what a name points to is kept by garbage collection. Pins are names under ``pins/``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from tratree_store.atomic import seal, unseal, write_atomic
from tratree_store.errors import StoreError, VerificationError
from tratree_store.keys import is_digest
from tratree_store.locks import locked

PINS = "pins/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LOOKS_LIKE_DIGEST = re.compile(r"[0-9a-f]{4,64}")


@dataclass(frozen=True)
class Naming:
    """One line of a name's history: from ``time`` on it meant this; no object: it was removed."""

    time: float
    kind: str
    object: str
    recipe: str

    @property
    def ref(self) -> str:
        """``kind:object``, or an empty string for a removal."""
        return f"{self.kind}:{self.object}" if self.object else ""


def check_name(name: str) -> None:
    """Raise ``StoreError`` unless ``name`` can be a name."""
    if (
        len(quote(name, safe="")) > 200
        or not _NAME.fullmatch(name)
        or ".." in name
        or name.endswith(".lock")
    ):
        raise StoreError(
            f"{name!r} cannot be a name; use letters, digits, '.', '_', '-' and '/' between words."
        )
    if _LOOKS_LIKE_DIGEST.fullmatch(name):
        raise StoreError(f"{name!r} looks like a digest; choose a name that cannot be one.")


class Refs:
    """The names of one store."""

    def __init__(self, root: Path, durable: bool = True) -> None:
        self.folder = root / "refs"
        self._lock = root / "locks" / "refs.lock"
        self._scratch = root / "tmp"
        self._durable = durable

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.folder / quote(name, safe="")

    def history(self, name: str) -> list[Naming]:
        """Every meaning the name had, oldest first; raises ``VerificationError`` if damaged."""
        try:
            lines = self.path(name).read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return []
        return [decode(line, name) for line in lines]

    def sound_history(self, name: str) -> list[Naming]:
        """The lines of the history that are not damaged."""
        found = []
        try:
            lines = self.path(name).read_bytes().splitlines(keepends=True)
        except OSError:
            return []
        for line in lines:
            try:
                found.append(decode(line, name))
            except VerificationError:
                continue
        return found

    def current(self, name: str) -> Naming | None:
        """What the name means now; None if there is no such name."""
        history = self.history(name)
        return history[-1] if history and history[-1].object else None

    def names(self) -> Iterator[str]:
        """All names that have a file, removed ones included, in order."""
        if self.folder.is_dir():
            yield from sorted(unquote(path.name) for path in self.folder.iterdir())

    def append(self, name: str, naming: Naming) -> None:
        """Give the name a new meaning; the old ones stay in its history."""
        check_name(name)
        with locked(self._lock):
            self._write(name, [*self.history(name), naming])

    def rewrite(self, name: str, history: list[Naming]) -> None:
        """Replace the whole history (repair, import)."""
        with locked(self._lock):
            self._write(name, history)

    def _write(self, name: str, history: list[Naming]) -> None:
        data = b"".join(encode(name, naming) for naming in history)
        write_atomic(self.path(name), data, self._scratch, self._durable)


def encode(name: str, naming: Naming) -> bytes:
    """One sealed line; the name is part of it, so that a line cannot move between files."""
    return seal(
        {
            "name": name,
            "time": naming.time,
            "kind": naming.kind,
            "object": naming.object,
            "recipe": naming.recipe,
        }
    )


def decode(line: bytes, name: str) -> Naming:
    """The meaning in a sealed line; raises ``VerificationError`` unless it is of ``name``."""
    record = unseal(line, f"The history of the name {name!r}")
    digest, recipe = str(record.get("object", "")), str(record.get("recipe", ""))
    if record.get("name") != name or (digest and not (is_digest(digest) and is_digest(recipe))):
        raise VerificationError(f"The history of the name {name!r} is damaged.")
    return Naming(float(record["time"]), str(record["kind"]), digest, recipe)

"""Names: words that people give to artifacts, each with its history.

``refs/NAME`` (with ``/`` written ``%2F``) is one small file of sealed lines, oldest first; the last
line is what the name means now. The first line is a header that counts the lines after it and holds
their sha256, so that a lost, emptied or exchanged line is noticed like a flipped byte; the file is
always replaced as a whole. Files without a header (of earlier versions) are read line by line, and
get one when they are next written. To a reader that does not know it the header is the removal of a
name at the beginning of time.

Names are resolved before anything is hashed, so they never enter a key, and what a name points to
is kept by garbage collection. Pins are names under ``pins/``.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from tratree_store.atomic import read_plain, seal, unseal, write_atomic
from tratree_store.errors import StoreError, VerificationError, explained
from tratree_store.keys import is_digest, is_word, sha256
from tratree_store.locks import locked
from tratree_store.objects import names_in

PINS = "pins/"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
_LOOKS_LIKE_DIGEST = re.compile(r"[0-9a-f]{4,64}")
_DIGEST = re.compile(rb"[0-9a-f]{64}")
_END_OF_TIME = 1e11


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
            f"{name!r} cannot be a name; use letters, digits, '.', '_', '-' and '/' between words"
        )
    if _LOOKS_LIKE_DIGEST.fullmatch(name):
        raise StoreError(f"{name!r} looks like a digest; choose a name that cannot be one")


class Refs:
    """The names of one store."""

    def __init__(self, root: Path, durable: bool = True) -> None:
        self.folder = root / "refs"
        self._lock = root / "locks" / "refs.lock"
        self._scratch = root / "tmp"
        self._durable = durable

    def path(self, name: str) -> Path:
        """The file of a name."""
        return self.folder / quote(name.encode("utf-8", "surrogateescape"), safe="")

    def history(self, name: str) -> list[Naming]:
        """Every meaning the name had, oldest first; raises ``VerificationError`` if damaged."""
        data = self._read(name)
        return [] if data is None else decode_history(data, name)

    def _read(self, name: str) -> bytes | None:
        try:
            return read_plain(self.path(name))
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return None  # a word that cannot be a file's name is no name either
            raise VerificationError(
                f"the name {name!r} cannot be read ({error.strerror or error})"
            ) from error

    def sound_history(self, name: str) -> list[Naming]:
        """The meanings that can still be read from a damaged history, oldest first.

        Raises ``VerificationError`` if the file is there and cannot be read at all.
        """
        return list(_sound_lines(self._damaged(name), name))

    def _damaged(self, name: str) -> bytes:
        """The bytes of a damaged history; none where something lies that is not a file."""
        if not self.path(name).is_file():
            return b""
        return self._read(name) or b""

    def digests_in(self, name: str) -> list[tuple[str, ...]]:
        """Whatever looks like a digest in each line of a damaged history, for its repair."""
        lines = self._damaged(name).splitlines()
        return [tuple(d.decode("ascii") for d in _DIGEST.findall(line)) for line in lines]

    def current(self, name: str) -> Naming | None:
        """What the name means now; None if there is no such name."""
        history = self.history(name)
        return history[-1] if history and history[-1].object else None

    def names(self) -> Iterator[str]:
        """All names that have a file, removed ones included, in order."""
        with explained("list the names", self.folder):
            files = names_in(str(self.folder))
        yield from sorted(unquote(file, errors="surrogateescape") for file in files)

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
        data = encode_history(name, history)
        write_atomic(self.path(name), data, self._scratch, self._durable)


def encode(name: str, naming: Naming, **more: Any) -> bytes:
    """One sealed line; the name is part of it, so that a line cannot move between files."""
    return seal(
        {
            "name": name,
            "time": naming.time,
            "kind": naming.kind,
            "object": naming.object,
            "recipe": naming.recipe,
            **more,
        }
    )


def encode_history(name: str, history: Iterable[Naming]) -> bytes:
    """The file of a name: the header, then a numbered line for each meaning."""
    lines = [encode(name, each, number=number) for number, each in enumerate(history, start=1)]
    body = b"".join(lines)
    header = encode(name, Naming(0.0, "", "", ""), lines=len(lines), digest=sha256(body))
    return header + body


def decode_history(data: bytes, name: str) -> list[Naming]:
    """The meanings in the file of a name; raises ``VerificationError`` unless it is whole."""
    header, *rest = data.splitlines(keepends=True) or [b""]
    first = unseal(header, f"the history of the name {name!r}")
    if "lines" not in first:
        rest = [header, *rest]
        # A numbered line without a header was cut out of a longer file.
        sound = all("number" not in unseal(line, f"the name {name!r}") for line in rest)
    else:
        body = b"".join(rest)
        sound = first.get("name") == name and first["lines"] == len(rest)
        sound = sound and first.get("digest") == sha256(body)
    if not sound:
        raise VerificationError(f"the history of the name {name!r} is damaged (lines are missing)")
    return [decode(line, name) for line in rest]


def _sound_lines(data: bytes, name: str) -> Iterator[Naming]:
    for line in data.splitlines(keepends=True):
        try:
            if "lines" not in unseal(line, name):
                yield decode(line, name)
        except VerificationError:
            continue


def decode(line: bytes, name: str) -> Naming:
    """The meaning in a sealed line; raises ``VerificationError`` unless it is of ``name``."""
    record = unseal(line, f"the history of the name {name!r}")
    try:
        digest, recipe, kind = record["object"], record["recipe"], record["kind"]
        moment = float(record["time"])
        sound = record["name"] == name and 0 <= moment < _END_OF_TIME
        removed = digest == recipe == kind == ""
        sound = sound and (removed or (is_digest(digest) and is_digest(recipe) and is_word(kind)))
    except (KeyError, TypeError, ValueError, OverflowError):
        sound = False
    if not sound:
        raise VerificationError(f"the history of the name {name!r} is damaged")
    return Naming(moment, kind, digest, recipe)

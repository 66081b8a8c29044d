"""Reading a data folder with the original's file names; naming what is wrong with it.

A product file of more than 64 MB is read record by record: parsed as a whole, the official one
(5.2 GB) would take several times the memory of the products that are kept of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

from tratree_cli.errors import InputError

HUMAN_FILE = "items_human_ins.json"
LARGE = 64 * 2**20
"""A product file of more bytes than this is streamed."""

LARGEST_RECORD = 64 * 2**20
_BLANKS = re.compile(r"[ \t\n\r]*")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
"""An escape that needs a partner, which Python's decoder does not ask for."""


@dataclass(frozen=True)
class FolderContent:
    """The parsed files of one data folder and which ones they were."""

    products: Iterable[Mapping[str, Any]]
    attributes: Mapping[str, Mapping[str, Any]]
    human: Mapping[str, Sequence[Mapping[str, Any]]]
    files: tuple[Path, ...]


def data_files(folder: Path) -> tuple[Path, Path, Path | None]:
    """The product, attribute and (if any) human instruction file of a folder.

    Full files win over small ones (``items_shuffle_1000.json``); the attribute file is the one
    with the same suffix, else the full one.
    """
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; give one that holds items_shuffle.json")
    products = sorted(folder.glob("items_shuffle*.json"), key=lambda path: (len(path.name), path))
    if not products:
        raise InputError(
            f"{folder} holds no items_shuffle.json (or items_shuffle_1000.json); "
            "`tratree env fetch webshop` downloads the official files"
        )
    suffix = products[0].name.removeprefix("items_shuffle")
    candidates = [folder / f"items_ins_v2{suffix}", folder / "items_ins_v2.json"]
    candidates += sorted(folder.glob("items_ins_v2*.json"))
    attributes = next((path for path in candidates if path.is_file()), None)
    if attributes is None:
        raise InputError(
            f"{folder} holds {products[0].name} but no items_ins_v2.json with the attributes"
        )
    human = folder / HUMAN_FILE
    return products[0], attributes, human if human.is_file() else None


def read_folder(folder: Path) -> FolderContent:
    """Read the files of a data folder."""
    return _read_files(*data_files(folder))


def read_folder_files(
    products: Path, attributes: Path | None = None, human: Path | None = None
) -> FolderContent:
    """Read files that are named one by one; attributes are otherwise those beside the products."""
    if not products.is_file():
        raise InputError(f"there is no product file {products}.")
    if attributes is None:
        suffix = products.name.removeprefix("items_shuffle")
        beside = [products.with_name(f"items_ins_v2{end}") for end in (suffix, ".json")]
        attributes = next((path for path in beside if path.is_file()), beside[0])
    return _read_files(products, attributes, human)


def _read_files(products: Path, attributes: Path, human: Path | None) -> FolderContent:
    large = products.stat().st_size > LARGE
    content = FolderContent(
        products=stream_records(products) if large else _read(products, list),
        attributes=_read(attributes, dict),
        human=_read(human, dict) if human else {},
        files=tuple(path for path in (products, attributes, human) if path),
    )
    if not content.products:
        raise InputError(f"{products} holds no products")
    return content


def stream_records(path: Path, chunk: int = 2**24) -> Iterator[Mapping[str, Any]]:
    """The elements of a JSON list one after the other, ``chunk`` characters in memory at a time.

    Raises InputError where the text is no list, ends too early, holds what is no JSON (by the
    same rules as for a small file) or goes on after the list.
    """
    try:
        with path.open(encoding="utf-8") as file:
            window = _Window(file, chunk, path)
            if window.take() != "[":
                raise InputError(f"{path} does not hold a JSON list")
            if window.peek() != "]":
                yield window.element()
            while (mark := window.take()) != "]":
                if mark != ",":
                    raise window.error(f"a comma is missing before '{mark}'" if mark else "")
                yield window.element()
            if window.peek():
                raise window.error("there is more after the end of the list")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8 ({error.reason}); fetch the file again") from None


class _Window:
    """The part of a file that is in memory, and how many list elements lie before it."""

    def __init__(self, file: TextIO, chunk: int, path: Path) -> None:
        self._file = file
        self._chunk = chunk
        self._path = path
        self._decoder = json.JSONDecoder(parse_constant=_no_constant)
        self._buffer = ""
        self._position = 0
        self._number = 0

    def peek(self) -> str:
        """The next character that is not blank; nothing at the end of the file."""
        while True:
            gap = _BLANKS.match(self._buffer, self._position)
            self._position = gap.end() if gap else self._position
            if self._position < len(self._buffer) or not self._more():
                return self._buffer[self._position : self._position + 1]

    def take(self) -> str:
        """The next character that is not blank, and step over it."""
        character = self.peek()
        self._position += len(character)
        return character

    def element(self) -> Any:
        """The next element of the list."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._buffer, self._position)
            except RecursionError:
                raise self.error("it is nested too deeply") from None
            except ValueError as error:
                whole = len(self._buffer) - self._position > LARGEST_RECORD
                if whole or not self._more():
                    raise self.error(getattr(error, "msg", str(error))) from error
                continue
            # At the end of what was read a number may go on.
            if end < len(self._buffer) or not self._more():
                break
        text = self._buffer[self._position : end]
        if _SURROGATE.search(text):
            try:
                value = orjson.loads(text)
            except orjson.JSONDecodeError as error:
                raise self.error(error.msg) from error
        self._position = end
        self._number += 1
        return value

    def error(self, what: str) -> InputError:
        """What is wrong at the element that is next."""
        reason = f" ({what})" if what else ""
        return InputError(
            f"{self._path}, record {self._number}: not valid JSON or cut short{reason}; "
            "fetch the file again."
        )

    def _more(self) -> bool:
        more = self._file.read(self._chunk)
        self._buffer, self._position = self._buffer[self._position :] + more, 0
        return bool(more)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _read(path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: not valid JSON in UTF-8 ({error.msg}); "
            "a download that was cut short looks like this, fetch the file again"
        ) from error
    if not isinstance(content, kind):
        raise InputError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}")
    return content

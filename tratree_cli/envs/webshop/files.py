"""Reading a data folder with the original's file names; saying plainly what is wrong with it.

A product file of more than 64 MB is read record by record: parsed as a whole, the official one
(5.2 GB) would take several times the memory of the products that are kept of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError

HUMAN_FILE = "items_human_ins.json"
LARGE = 64 * 2**20
"""A product file of more bytes than this is streamed."""

LARGEST_RECORD = 64 * 2**20
_BETWEEN = re.compile(r"[\s,]*")


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
        raise InputError(f"there is no folder {folder}; give one that holds items_shuffle.json.")
    products = sorted(folder.glob("items_shuffle*.json"), key=lambda path: (len(path.name), path))
    if not products:
        raise InputError(
            f"{folder} holds no items_shuffle.json (or items_shuffle_1000.json); "
            "`tratree env fetch webshop` downloads the official files."
        )
    suffix = products[0].name.removeprefix("items_shuffle")
    candidates = [folder / f"items_ins_v2{suffix}", folder / "items_ins_v2.json"]
    candidates += sorted(folder.glob("items_ins_v2*.json"))
    attributes = next((path for path in candidates if path.is_file()), None)
    if attributes is None:
        raise InputError(
            f"{folder} holds {products[0].name} but no items_ins_v2.json with the attributes."
        )
    human = folder / HUMAN_FILE
    return products[0], attributes, human if human.is_file() else None


def read_folder(folder: Path) -> FolderContent:
    """Read the files of a data folder."""
    products, attributes, human = data_files(folder)
    large = products.stat().st_size > LARGE
    content = FolderContent(
        products=stream_records(products) if large else _read(products, list),
        attributes=_read(attributes, dict),
        human=_read(human, dict) if human else {},
        files=tuple(path for path in (products, attributes, human) if path),
    )
    if not content.products:
        raise InputError(f"{products} holds no products.")
    return content


def stream_records(path: Path, chunk: int = 2**24) -> Iterator[Mapping[str, Any]]:
    """The elements of a JSON list one after the other, ``chunk`` characters in memory at a time.

    Raises InputError where the text is no list, ends too early, or holds what is no JSON.
    """
    decoder = json.JSONDecoder()
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            buffer = file.read(chunk).lstrip()
            if not buffer.startswith("["):
                raise InputError(f"{path} does not hold a JSON list.")
            position = 1
            while True:
                position = _end_of_gap(buffer, position)
                if buffer.startswith("]", position):
                    return
                try:
                    record, position = decoder.raw_decode(buffer, position)
                except json.JSONDecodeError as error:
                    more = file.read(chunk)
                    if not more or len(buffer) - position > LARGEST_RECORD:
                        raise InputError(
                            f"{path}, record {number}: not valid JSON or cut short ({error.msg}); "
                            "fetch the file again."
                        ) from error
                    buffer, position = buffer[position:] + more, 0
                    continue
                yield record
                number += 1
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not in UTF-8 ({error.reason}); fetch the file again."
        ) from None


def _end_of_gap(buffer: str, position: int) -> int:
    """Where the next element or the closing bracket begins."""
    gap = _BETWEEN.match(buffer, position)
    return gap.end() if gap else position


def _read(path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}.") from error
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {error.lineno}: not valid JSON in UTF-8 ({error.msg}); "
            "a download that was cut short looks like this, fetch the file again."
        ) from error
    if not isinstance(content, kind):
        raise InputError(f"{path} holds a {type(content).__name__}, not a {kind.__name__}.")
    return content

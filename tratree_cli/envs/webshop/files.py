"""Reading a data folder with the original's file names; saying plainly what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError

HUMAN_FILE = "items_human_ins.json"


@dataclass(frozen=True)
class FolderContent:
    """The parsed files of one data folder and which ones they were."""

    products: Sequence[Mapping[str, Any]]
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
    content = FolderContent(
        products=_read(products, list),
        attributes=_read(attributes, dict),
        human=_read(human, dict) if human else {},
        files=tuple(path for path in (products, attributes, human) if path),
    )
    if not content.products:
        raise InputError(f"{products} holds no products.")
    return content


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

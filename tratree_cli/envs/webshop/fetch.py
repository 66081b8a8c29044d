"""Which official files WebShop needs and where its authors keep them.

The authors publish no checksums. The first fetch therefore writes down what it received
(``checksums.json``), and later fetches into the same folder hold the files to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from tratree_cli.envs.download import Fetched, Progress, Source, download
from tratree_cli.errors import InputError, PartialError, StageError, did_you_mean

CHECKSUMS = "checksums.json"
FOLDER = Path("data/webshop")
"""Where `tratree env fetch` puts them unless told otherwise."""
_DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t&id="
_HUMAN = Source("items_human_ins.json", _DRIVE + "14Kb5SPBk_jfdLZ_CDBNitW98QLDlKR5O")
SETS: Mapping[str, tuple[Source, ...]] = {
    "full": (
        Source("items_shuffle.json", _DRIVE + "1A2whVgOO0euk5O13n2iYDM0bQRRkRduB"),
        Source("items_ins_v2.json", _DRIVE + "1s2j6NgHljiZzQNL3veZaAiyW_qDEgBNi"),
        _HUMAN,
    ),
    "small": (
        Source("items_shuffle_1000.json", _DRIVE + "1EgHdxQ_YxqIQlvvq5iKlCrkEKR6-j0Ib"),
        Source("items_ins_v2_1000.json", _DRIVE + "1IduG0xl544V_A_jv3tHXC0kyFi7PnyBu"),
        _HUMAN,
    ),
}
"""``full`` is 5.2 GB (1,181,436 records), ``small`` 10 MB (1,000 records)."""


def sources(
    size: str | None = None,
    mirror: str | None = None,
    addresses: Mapping[str, str] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> list[Source]:
    """The files of a set, at the authors' address, a mirror's folder, or one address each."""
    size = size or "full"
    if size not in SETS:
        raise InputError(f"WebShop's files come as 'full' or 'small', not '{size}'.")
    known = [source.name for source in SETS[size]]
    for name in (*(addresses or {}), *(checksums or {})):
        if name not in known:
            raise InputError(
                f"{name} is not among the files of the {size} set{did_you_mean(name, known)}; "
                f"they are {', '.join(known)}."
            )
    chosen = []
    for source in SETS[size]:
        url = source.url if mirror is None else f"{mirror.rstrip('/')}/{source.name}"
        url = (addresses or {}).get(source.name, url)
        chosen.append(replace(source, url=url, sha256=(checksums or {}).get(source.name)))
    return chosen


def fetch(
    folder: Path,
    wanted: Sequence[Source],
    progress: Callable[[str], Progress] | None = None,
) -> list[Fetched]:
    """Fetch all files; PartialError if some failed, StageError if all did."""
    remembered = _remembered(folder)
    fetched: list[Fetched] = []
    failures: list[str] = []
    for source in wanted:
        expected = source.sha256 or remembered.get(source.name)
        try:
            fetched.append(
                download(
                    replace(source, sha256=expected),
                    folder,
                    progress(source.name) if progress else None,
                )
            )
        except StageError as error:
            failures.append(str(error))
    if fetched:
        known = {**remembered, **{item.source.name: item.sha256 for item in fetched}}
        text = orjson.dumps(known, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        (folder / CHECKSUMS).write_bytes(text + b"\n")
    if failures:
        raise (PartialError if fetched else StageError)(" ".join(failures))
    return fetched


def _remembered(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    if not path.is_file():
        return {}
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path} is not valid JSON ({error}); remove it and fetch again."
        ) from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not map file names to sha256; remove it and fetch again.")
    return content

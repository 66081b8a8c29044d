"""Fetching an environment's official files: a set of sources, one driver, checksums kept beside.

Where authors publish no checksums, the first fetch writes down what it received
(``checksums.json``), and later fetches into the same folder hold the files to that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import orjson

from tratree_cli.envs.download import DownloadSource, Fetched, OnProgress, download
from tratree_cli.errors import InputError, PartialError, StageError, did_you_mean

CHECKSUMS = "checksums.json"


def choose_sources(
    environment: str,
    sets: Mapping[str, Sequence[DownloadSource]],
    size: str,
    mirror: str | None = None,
    addresses: Mapping[str, str] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> list[DownloadSource]:
    """The files of the set ``size``: at the authors' address, a mirror's folder, or one each.

    ``InputError`` for a set that is not there and for files that are not in it.
    """
    if size not in sets:
        raise InputError(
            f"{environment}'s files come as {', '.join(sets)}, not '{size}'"
            f"{did_you_mean(size, sets)}"
        )
    known = [source.name for source in sets[size]]
    for name in (*(addresses or {}), *(checksums or {})):
        if name not in known:
            raise InputError(
                f"{name} is not among the files of the {size} set{did_you_mean(name, known)}; "
                f"they are {', '.join(known)}"
            )
    chosen = []
    for source in sets[size]:
        url = source.url if mirror is None else f"{mirror.rstrip('/')}/{source.name}"
        url = (addresses or {}).get(source.name, url)
        sha256 = (checksums or {}).get(source.name, source.sha256)
        chosen.append(replace(source, url=url, sha256=sha256))
    return chosen


def fetch_files(
    folder: Path,
    wanted: Sequence[DownloadSource],
    progress: Callable[[str], OnProgress] | None = None,
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
        raise InputError(f"{path} is not valid JSON ({error}); remove it and fetch again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path} does not map file names to sha256; remove it and fetch again")
    return content

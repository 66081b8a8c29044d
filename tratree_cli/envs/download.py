"""Downloading large data files: resumed after an interruption, checked, and moved into place last.

A file grows as ``NAME.part`` beside its place and gets its name only when it is complete, so that a
loader never reads half of one. Where the server does not support ranges the file starts over.
An address that answers with a web page instead of data counts as gone.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from tratree_cli.errors import StageError

CHUNK = 1 << 20
TIMEOUT_SECONDS = 60.0

OnProgress = Callable[[int, int | None], None]
"""Called with (bytes there, bytes in all or None)."""


@dataclass(frozen=True)
class DownloadSource:
    """One file: its name on disk, where it comes from, and its sha256 where that is known."""

    name: str
    url: str
    sha256: str | None = None


@dataclass(frozen=True)
class Fetched:
    """What became of a source: the file, its sha256, and whether it had been there already."""

    source: DownloadSource
    path: Path
    sha256: str
    present: bool


def download(
    source: DownloadSource,
    folder: Path,
    progress: OnProgress | None = None,
    timeout: float = TIMEOUT_SECONDS,
) -> Fetched:
    """Bring one file into ``folder``; a file that is there is only checked.

    Raises StageError, in one sentence that names what to do by hand, for an address that is gone,
    an interrupted transfer (what arrived stays and is continued) or a wrong checksum.
    """
    place = folder / source.name
    if place.is_file():
        return Fetched(source, place, _check(source, place), present=True)
    folder.mkdir(parents=True, exist_ok=True)
    part = place.with_name(place.name + ".part")
    try:
        _transfer(source, part, progress, timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise StageError(_dead(source, place, error)) from error
    digest = _check(source, part)
    part.replace(place)
    return Fetched(source, place, digest, present=False)


def _transfer(
    source: DownloadSource, part: Path, progress: OnProgress | None, timeout: float
) -> None:
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "tratree", **({"Range": f"bytes={have}-"} if have else {})}
    if urlsplit(source.url).scheme not in ("http", "https"):
        raise ValueError(f"'{source.url}' is not an http address")
    request = urllib.request.Request(source.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if have and error.code == 416:
            # Nothing is left to send, or the file there is another one: the checksum decides.
            if _total(error.headers.get("Content-Range")) == have:
                return
            part.unlink()
            _transfer(source, part, progress, timeout)
            return
        raise
    with response:
        if response.headers.get_content_type() == "text/html":
            raise ValueError("the address answers with a web page")
        resumed = response.status == 206
        done = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        with part.open("ab" if resumed else "wb") as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, total)
    if total is not None and done < total:
        raise ConnectionError(f"the connection broke after {done} of {total} bytes")


def _total(content_range: str | None) -> int | None:
    """The length in ``Content-Range: bytes */LENGTH``."""
    length = (content_range or "").rpartition("/")[2]
    return int(length) if length.isdecimal() else None


def _check(source: DownloadSource, path: Path) -> str:
    with path.open("rb") as file:
        state = sha256()
        while chunk := file.read(CHUNK):
            state.update(chunk)
    digest = state.hexdigest()
    if source.sha256 is not None and digest != source.sha256.lower():
        raise StageError(
            f"{path} has sha256 {digest[:16]}… instead of {source.sha256[:16]}…; "
            "remove it and fetch again, or give another --checksum"
        )
    return digest


def _dead(source: DownloadSource, place: Path, error: Exception) -> str:
    reason = " ".join(str(getattr(error, "reason", error)).split()) or type(error).__name__
    return (
        f"{source.name} could not be fetched from {source.url} ({reason}); run the same command "
        f"again to continue, give another address with --source {source.name}=URL, or download it "
        f"in a browser and put it at {place}."
    )

"""Which official archives ALFWorld's games come in, and unpacking them.

The games exist in two editions: the first (*put ... in/on*), which ETO and the paper used, and that
of ALFWorld 0.4 (*move ... to*). ``official`` adds the descriptions that the original's own loader
asks for; the engine here needs none. The checksums are of the archives as they stood in 2026; where
none is known the first fetch records what it received, and later ones are compared with it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from zlib import crc32

from tratree_cli.envs.alfworld.folder import GAME, SPLITS
from tratree_cli.envs.download import DownloadSource, Fetched, OnProgress
from tratree_cli.envs.fetch_files import choose_sources, fetch_files
from tratree_cli.errors import InputError, StageError

FOLDER = Path("data/alfworld")
"""Where the files go unless the user names a folder."""

_RELEASES = "https://github.com/alfworld/alfworld/releases/download/"
_PUT = DownloadSource("json_2.1.1_tw-pddl.zip", _RELEASES + "0.2.2/json_2.1.1_tw-pddl.zip")
_MOVE = DownloadSource(
    "json_2.1.3_tw-pddl.zip",
    _RELEASES + "0.4.2/json_2.1.3_tw-pddl.zip",
    "5df77ea759f2211a4106082839ddbbb790f1ba4e7d097ed732cf453f72aa36cf",
)
_ABOUT = DownloadSource(
    "json_2.1.1_json.zip",
    _RELEASES + "0.2.2/json_2.1.1_json.zip",
    "25171f16e20ad7b048c47275c45b0babf3aa1cbab29cec97387922350a9844bc",
)
SETS: Mapping[str, tuple[DownloadSource, ...]] = {
    "put": (_PUT,),
    "move": (_MOVE,),
    "official": (_MOVE, _ABOUT),
}
"""``put`` is 45 MB, ``move`` 37 MB, ``official`` 109 MB; unpacked about five times that."""

WANTED = (GAME, "traj_data.json")
LARGEST = 4 << 20
"""Bytes; a game is about 60 kB."""


def sources(
    size: str | None = None,
    mirror: str | None = None,
    addresses: Mapping[str, str] | None = None,
    checksums: Mapping[str, str] | None = None,
) -> list[DownloadSource]:
    """The archives of a set, at the authors' address, a mirror's folder, or one address each."""
    return choose_sources("ALFWorld", SETS, size or "put", mirror, addresses, checksums)


def fetch(
    folder: Path,
    wanted: Sequence[DownloadSource],
    progress: Callable[[str], OnProgress] | None = None,
) -> list[Fetched]:
    """Fetch and unpack all archives; PartialError if some failed, StageError if all did."""
    fetched = fetch_files(folder, wanted, progress)
    for item in fetched:
        unpack(item.path, folder)
    return fetched


def unpack(archive: Path, folder: Path) -> int:
    """Write the game files of an archive that are not there yet; how many were written.

    Only files of the known names in the three splits are taken, wherever an entry says it belongs;
    a file that is there with other content is never overwritten.
    """
    written = 0
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                place = _place(entry.filename)
                if place is not None and entry.file_size <= LARGEST:
                    written += _write(opened, entry, folder / place)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
        raise StageError(
            f"{archive} cannot be unpacked ({error}); remove it and fetch it again"
        ) from error
    return written


def _write(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> bool:
    if path.is_file():
        if path.stat().st_size == entry.file_size and crc32(path.read_bytes()) == entry.CRC:
            return False
        raise InputError(
            f"{path} is of another edition of the games or was changed; "
            "give each edition a folder of its own with --to"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(opened.read(entry))
    part.replace(path)
    return True


def _place(name: str) -> Path | None:
    """Where an entry goes: ``json_2.1.1/SPLIT/TASK/TRIAL/FILE``, or None for what is not wanted."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if len(parts) < 4 or parts[-1] not in WANTED or parts[-4] not in SPLITS.values():
        return None
    if any(part in ("..", ".") for part in parts):
        return None
    return Path("json_2.1.1", *parts[-4:])

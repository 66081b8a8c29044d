"""ALFWorld's archives from a local server: fetched, resumed, checked, and unpacked safely."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tratree_cli.envs.alfworld.fetch import SETS, fetch, sources, unpack
from tratree_cli.envs.download import DownloadSource
from tratree_cli.errors import InputError, StageError

GAME = "json_2.1.1/valid_seen/pick_and_place_simple-Mug-None-Desk-1/trial_1/game.tw-pddl"


def zipped(names: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in names.items():
            archive.writestr(name, body)
    return content.getvalue()


ARCHIVE = zipped(
    {
        GAME: b'{"solvable": true}',
        GAME.replace("game.tw-pddl", "traj_data.json"): b"{}",
        GAME.replace("game.tw-pddl", "initial_state.pddl"): b"(not wanted)",
        "../../../valid_seen/../x/game.tw-pddl": b"outside",
        "/etc/valid_seen/task/trial/game.tw-pddl": b"absolute",
        "README.md": b"not wanted",
    }
)


class Shelf(BaseHTTPRequestHandler):
    """Sends ARCHIVE; the first time only half of it."""

    requests: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).requests.append(wanted)
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(ARCHIVE) - start))
        self.end_headers()
        first = len(self.requests) == 1
        self.wfile.write(ARCHIVE[start : len(ARCHIVE) // 2 if first else None])

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def mirror() -> Iterator[str]:
    Shelf.requests = []
    shelf = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    threading.Thread(target=shelf.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{shelf.server_address[1]}"
    shelf.shutdown()
    shelf.server_close()


def test_an_interrupted_fetch_continues_and_unpacks_only_games(mirror: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    digest = hashlib.sha256(ARCHIVE).hexdigest()
    wanted = sources("put", mirror, checksums={SETS["put"][0].name: digest})
    with pytest.raises(StageError, match="run the same command again"):
        fetch(folder, wanted)
    assert fetch(folder, wanted)[0].sha256 == digest
    assert Shelf.requests[1] == f"bytes={len(ARCHIVE) // 2}-"
    unpacked = {path.relative_to(folder).as_posix() for path in tmp_path.rglob("*.tw-pddl")}
    assert unpacked == {GAME, "json_2.1.1/valid_seen/task/trial/game.tw-pddl"}
    assert not list(tmp_path.rglob("initial_state.pddl"))
    assert fetch(folder, wanted)[0].present


def test_a_wrong_checksum_is_refused(mirror: str, tmp_path: Path) -> None:
    Shelf.requests.append(None)
    with pytest.raises(StageError, match="has sha256"):
        fetch(tmp_path, sources("move", mirror))


def test_another_edition_never_overwrites_games_that_are_there(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(ARCHIVE)
    assert unpack(archive, tmp_path) == 3
    assert unpack(archive, tmp_path) == 0
    archive.write_bytes(zipped({GAME: b'{"solvable": false}'}))
    with pytest.raises(InputError, match="another edition"):
        unpack(archive, tmp_path)
    assert (tmp_path / GAME).read_bytes() == b'{"solvable": true}'


def test_a_broken_archive_is_named(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    archive.write_bytes(ARCHIVE[: len(ARCHIVE) // 2])
    with pytest.raises(StageError, match="cannot be unpacked"):
        unpack(archive, tmp_path)


def test_sets_and_files_are_checked_by_name() -> None:
    with pytest.raises(InputError, match="put, move, official"):
        sources("full")
    with pytest.raises(InputError, match="not among the files"):
        sources("put", addresses={"games.zip": "http://x"})
    assert [source.name for source in sources()] == ["json_2.1.1_tw-pddl.zip"]
    assert isinstance(sources("official")[1], DownloadSource)

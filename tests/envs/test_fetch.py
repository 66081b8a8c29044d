"""Downloads against a local server: resuming, checksums, dead addresses, broken connections."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.command_line import invoke
from tratree_cli.commands.env import app
from tratree_cli.envs.download import DownloadSource, download
from tratree_cli.envs.fetch_files import CHECKSUMS
from tratree_cli.envs.webshop.fetch import fetch, sources
from tratree_cli.errors import InputError, PartialError, StageError

BODY = bytes(range(256)) * 2000


class Shelf(BaseHTTPRequestHandler):
    """Serves BODY in several moods, chosen by the first folder of the path."""

    ranges: ClassVar[list[str | None]] = []

    def do_GET(self) -> None:
        mood = self.path.split("/")[1]
        wanted = self.headers.get("Range")
        type(self).ranges.append(wanted)
        if mood == "dead":
            self.send_error(404)
            return
        start = int(wanted.split("=")[1].rstrip("-")) if wanted and mood != "norange" else 0
        if start >= len(BODY):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(BODY)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        kind = "text/html" if mood == "page" else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        end = len(BODY) // 2 if mood == "breaks" else len(BODY)
        self.wfile.write(BODY[start:end])

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Shelf.ranges = []
    shelf = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=shelf.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{shelf.server_address[1]}"
    shelf.shutdown()
    shelf.server_close()


def test_an_interrupted_download_keeps_its_part_and_continues(server: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="run the same command again"):
        download(DownloadSource("a.json", f"{server}/breaks/a.json"), tmp_path)
    part = tmp_path / "a.json.part"
    assert part.stat().st_size == len(BODY) // 2
    assert not (tmp_path / "a.json").exists()
    fetched = download(DownloadSource("a.json", f"{server}/good/a.json"), tmp_path)
    assert Shelf.ranges[-1] == f"bytes={len(BODY) // 2}-"
    assert (tmp_path / "a.json").read_bytes() == BODY
    assert fetched.sha256 == hashlib.sha256(BODY).hexdigest()
    assert not part.exists()


def test_a_sender_without_ranges_starts_over(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.part").write_bytes(b"wrong beginning")
    download(DownloadSource("a.json", f"{server}/norange/a.json"), tmp_path)
    assert (tmp_path / "a.json").read_bytes() == BODY


def test_a_part_that_is_already_complete_is_taken(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.part").write_bytes(BODY)
    digest = hashlib.sha256(BODY).hexdigest()
    download(DownloadSource("a.json", f"{server}/good/a.json", digest), tmp_path)
    assert (tmp_path / "a.json").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file_starts_over(server: str, tmp_path: Path) -> None:
    (tmp_path / "a.json.part").write_bytes(BODY + b"more")
    download(DownloadSource("a.json", f"{server}/good/a.json"), tmp_path)
    assert (tmp_path / "a.json").read_bytes() == BODY


@pytest.mark.parametrize("mood", ["dead", "page"])
def test_a_dead_address_says_what_to_do_by_hand(mood: str, server: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"download it in a browser and put it at .*a\.json"):
        download(DownloadSource("a.json", f"{server}/{mood}/a.json"), tmp_path)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/a", "file:///etc/passwd", "nonsense", "http://"]
)
def test_unreachable_and_foreign_addresses_are_dead(url: str, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="could not be fetched"):
        download(DownloadSource("a.json", url), tmp_path, timeout=2)


def test_a_wrong_checksum_is_an_error_and_nothing_gets_the_name(
    server: str, tmp_path: Path
) -> None:
    with pytest.raises(StageError, match="instead of"):
        download(DownloadSource("a.json", f"{server}/good/a.json", "0" * 64), tmp_path)
    assert not (tmp_path / "a.json").exists()


def test_a_second_fetch_transfers_nothing_and_notices_a_changed_file(
    server: str, tmp_path: Path
) -> None:
    wanted = sources("small", mirror=f"{server}/good")
    first = fetch(tmp_path, wanted)
    assert [item.present for item in first] == [False] * 3
    asked = len(Shelf.ranges)
    assert [item.present for item in fetch(tmp_path, wanted)] == [True] * 3
    assert len(Shelf.ranges) == asked
    (tmp_path / "items_ins_v2_1000.json").write_bytes(b"{}")
    with pytest.raises(PartialError, match=r"items_ins_v2_1000\.json has sha256"):
        fetch(tmp_path, wanted)
    assert set(json.loads((tmp_path / CHECKSUMS).read_text())) == {s.name for s in wanted}


def test_unknown_files_and_sizes_are_refused() -> None:
    with pytest.raises(InputError, match="come as full, small"):
        sources("tiny")
    with pytest.raises(InputError, match=r"did you mean 'items_shuffle\.json'"):
        sources("full", addresses={"item_shuffle.json": "http://x"})


def test_the_command_fetches_and_prints_checksums(server: str, tmp_path: Path) -> None:
    arguments = ["fetch", "webshop", "--size", "small", "--to", str(tmp_path)]
    result = invoke(app, [*arguments, "--mirror", f"{server}/good", "--json"])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(row["file"]).name for row in rows] == [
        "items_shuffle_1000.json",
        "items_ins_v2_1000.json",
        "items_human_ins.json",
    ]


def test_the_command_takes_an_address_per_file(server: str, tmp_path: Path) -> None:
    addresses = [
        f"--source={name}={server}/{'good' if name.startswith('items_s') else 'dead'}/{name}"
        for name in ("items_shuffle.json", "items_ins_v2.json", "items_human_ins.json")
    ]
    result = invoke(app, ["fetch", "webshop", "--to", str(tmp_path), *addresses])
    assert isinstance(result.exception, PartialError)
    assert (tmp_path / "items_shuffle.json").read_bytes() == BODY

"""Models by their name on the hub: pinned, gated, unknown. The hub is a server on this machine."""

from __future__ import annotations

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_tratree

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = "shop/agent"


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as resolving and downloading a small model takes."""

    folder: Path

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/shop/gated/resolve"):
            self.answer(403, b"", **self.error("GatedRepo"))
        elif "unknown" in path:
            self.answer(404, b"", **self.error("RepoNotFound"))
        elif path.startswith("/api/models/shop/") and "/tree/" in path:
            self.answer(200, json.dumps(self.tree()).encode())
        elif path.startswith("/api/models/shop/"):
            self.answer(200, self.about("/".join(path.split("/")[3:5])))
        elif path.startswith(f"/{NAME}/resolve/{COMMIT}/"):
            self.file(self.folder / path.rpartition("/")[2])
        else:
            self.answer(404, b"", **self.error("EntryNotFound"))

    def about(self, name: str) -> bytes:
        files = [{"rfilename": path.name} for path in sorted(self.folder.iterdir())]
        about = {"id": name, "sha": COMMIT, "siblings": files, "tags": [], "private": False}
        return json.dumps({**about, "_id": "1", "downloads": 0, "gated": False}).encode()

    def tree(self) -> list[dict[str, Any]]:
        return [
            {"type": "file", "path": path.name, "size": path.stat().st_size, "oid": digest(path)}
            for path in sorted(self.folder.iterdir())
        ]

    def file(self, path: Path) -> None:
        if path.is_file():
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest(path)}"'}
            self.answer(200, path.read_bytes(), **headers)
        else:
            self.answer(404, b"", **self.error("EntryNotFound"))

    def error(self, code: str) -> dict[str, str]:
        return {"X-Error-Code": code, "X-Error-Message": code, "X-Repo-Commit": COMMIT}

    def answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Tests print nothing."""


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def hub(policy: Path) -> Iterator[str]:
    """The address of a hub that has the tiny policy as ``shop/agent``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("TinyHub", (Hub,), {"folder": policy}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def tratree(folder: Path, hub: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own: libraries read where the hub is when imported."""
    where = {"HF_ENDPOINT": hub, "HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "0"}
    around = {**where, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    return run_tratree(folder, *words, "--recipe", "small", "--no-stdin", environment=around)


@pytest.fixture
def demos(tmp_path: Path, conversations: Any) -> Path:
    file = tmp_path / "demos.jsonl"
    file.write_text("".join(json.dumps({"messages": c}) + "\n" for c in conversations))
    return file


def test_an_unknown_model_is_one_sentence(tmp_path: Path, hub: str, demos: Path) -> None:
    done = tratree(tmp_path, hub, "sft", "--demos", str(demos), "--model", "shop/unknown")
    assert done.returncode == 2, done.stderr
    assert "the hub knows no model 'shop/unknown'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_gated_model_says_how_to_get_it(tmp_path: Path, hub: str, demos: Path) -> None:
    done = tratree(tmp_path, hub, "sft", "--demos", str(demos), "--model", "shop/gated")
    assert done.returncode == 2, done.stderr
    assert "'shop/gated' is gated: accept its licence on its hub page and log in" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_model_of_the_hub_is_trained_at_the_commit_it_has_now(
    tmp_path: Path, hub: str, demos: Path
) -> None:
    words = ("sft", "--demos", str(demos), "--model", NAME, "--set", "sft.epochs=1")
    done = tratree(tmp_path, hub, *words)
    assert done.returncode == 0, done.stderr
    record = next((tmp_path / ".tratree" / "entries").rglob("*.json")).parent.parent
    models = [
        json.loads(path.read_text())["document"].get("models")
        for path in record.parent.rglob("*.json")
    ]
    assert {"base": f"hub:{NAME}@{COMMIT}"} in models
    # Later, without a connection, the copy on this machine still says which commit it is.
    again = tratree(tmp_path, "http://127.0.0.1:9", *words)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert "✓" not in again.stderr

"""A stand-in for the Hugging Face hub on this machine: repositories of small files, in memory.

It answers what ``huggingface_hub`` asks to make a repository, commit files to it, list and read
them; everything else is 404. Uploads go into the commit itself (``regular``), never to a second
service.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "c" * 40
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/([a-z-]+)(?:/([^/]+)(?:/(.*))?)?)?")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


@dataclass
class Hub:
    """What was pushed: repository (``datasets/me/x``) → path → bytes."""

    url: str = ""
    repositories: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if found := FILE.fullmatch(path):
                kind, name, _, inside = found.groups()
                content = hub.repositories.get(f"{kind or 'models/'}{name}", {}).get(inside)
                return self._file(content)
            if not (found := API.fullmatch(path)):
                return self._json({"error": "not found"}, 404)
            kind, name, verb, _, inside = found.groups()
            files = hub.repositories.get(f"{kind}/{name}")
            if files is None:
                return self._json({"error": "not found"}, 404, RepoNotFound=True)
            if verb == "tree":
                return self._json(listing(files, inside or ""))
            return self._json({"id": name, "sha": COMMIT, "siblings": [], "private": True})

        def do_POST(self) -> None:
            hub.tokens.add(self.headers.get("authorization", ""))
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            path = unquote(urlsplit(self.path).path)
            if path == "/api/repos/create":
                wanted = json.loads(body)
                kind = f"{wanted.get('type') or 'model'}s"
                name = "/".join(filter(None, (wanted.get("organization"), wanted["name"])))
                with hub.lock:
                    hub.repositories.setdefault(f"{kind}/{name}", {})
                    hub.private[f"{kind}/{name}"] = (
                        bool(wanted.get("private")) or wanted.get("visibility") == "private"
                    )
                return self._json({"url": f"{hub.url}/{kind}/{name}"})
            if path == "/api/validate-yaml":
                return self._json({"errors": [], "warnings": []})
            if not (found := API.fullmatch(path)):
                return self._json({"error": "not found"}, 404)
            kind, name, verb, _, _ = found.groups()
            files = hub.repositories.get(f"{kind}/{name}")
            if files is None:
                return self._json({"error": "not found"}, 404, RepoNotFound=True)
            if verb == "preupload":
                asked = json.loads(body)["files"]
                told = [{"path": f["path"], "uploadMode": "regular"} for f in asked]
                return self._json({"files": [{**f, "shouldIgnore": False} for f in told]})
            if verb == "paths-info":
                asked = json.loads(body) if body[:1] == b"{" else {}
                return self._json(
                    [entry for path in asked.get("paths", ()) for entry in described(files, path)]
                )
            if verb == "commit":
                for line in body.splitlines():
                    change = json.loads(line)
                    with hub.lock:
                        if change["key"] == "file":
                            value = change["value"]
                            files[value["path"]] = base64.b64decode(value["content"])
                        elif change["key"] == "deletedFile":
                            files.pop(change["value"]["path"], None)
                url = f"{hub.url}/{kind}/{name}/commit/{COMMIT}"
                return self._json({"commitUrl": url, "commitOid": COMMIT, "success": True})
            return self._json({"error": "not found"}, 404)

        def _file(self, content: bytes | None) -> None:
            if content is None:
                return self._json({"error": "not found"}, 404, EntryNotFound=True)
            start, end = 0, len(content) - 1
            if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
                start, end = int(asked[1]), min(int(asked[2] or end), end)
            part = content[start : end + 1]
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("content-range", f"bytes {start}-{end}/{len(content)}")
            self.send_header("content-length", str(len(part)))
            self.send_header("etag", f'"{oid(content)}"')
            self.send_header("x-repo-commit", COMMIT)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(part)
            return None

        def _json(self, value: object, code: int = 200, **errors: bool) -> None:
            data = json.dumps(value).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            for error in errors:
                self.send_header("x-error-code", error)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


def described(files: dict[str, bytes], path: str) -> list[dict[str, object]]:
    """The entry of a file or folder as the hub gives it; empty if there is none."""
    if path in files:
        return [{"type": "file", "path": path, "size": len(files[path]), "oid": oid(files[path])}]
    if any(name.startswith(f"{path}/") for name in files):
        return [{"type": "directory", "path": path, "oid": oid(path.encode())}]
    return []


def listing(files: dict[str, bytes], folder: str) -> list[dict[str, object]]:
    """What lies directly in ``folder``."""
    start = f"{folder}/" if folder else ""
    inside = [name[len(start) :] for name in files if name.startswith(start)]
    names = dict.fromkeys(start + name.partition("/")[0] for name in inside)
    return [entry for name in names for entry in described(files, name)]

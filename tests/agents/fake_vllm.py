"""A program that speaks vLLM's protocol, or SGLang's, and always samples the same ids.

``FAKE_VLLM`` says how it misbehaves, comma-separated: ``die`` in warm-up, ``hang`` without an
answer, ``stubborn`` (SIGTERM is ignored), ``fork`` (a helper in a group of its own that ignores
SIGTERM), ``refuse`` adapters, ``die-later`` (after the first completion). Every process that it
consists of and every request are written to the folder ``FAKE_VLLM_NOTES``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

NOTES = Path(os.environ.get("FAKE_VLLM_NOTES", "."))
HOW = set(os.environ.get("FAKE_VLLM", "").split(","))
HELPER = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
VERSION = "0.33.0+fake"
KEY = ""


def note(name: str, content: Any) -> None:
    with (NOTES / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(content) + "\n")


def key() -> str:
    """As vLLM is told, in the environment, or as SGLang is, in a file."""
    if "--config" not in sys.argv:
        return os.environ["VLLM_API_KEY"]
    file = Path(sys.argv[sys.argv.index("--config") + 1])
    note("key-file", file.stat().st_mode & 0o777)
    return file.read_text(encoding="utf-8").removeprefix("api-key: ").strip()


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    adapters: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        version = {"version": VERSION}
        known: dict[str, Any] = {"/health": {}, "/version": version, "/server_info": version}
        self.answer(200 if self.path in known else 404, known.get(self.path, {}))

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        note("requests", {"path": self.path, **request})
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer(401, {"error": "Unauthorized"})
        elif self.path.endswith("/load_lora_adapter"):
            name = request["lora_name"]
            if "refuse" in HOW:
                self.answer(400, {"error": {"message": "LoRA rank 64 is greater than 16"}})
            elif name in self.adapters:
                self.answer(400, {"error": {"message": f"The lora adapter '{name}' has already"}})
            else:
                self.adapters.add(name)
                self.answer(200, {})
        else:
            ids = json.loads(os.environ["FAKE_VLLM_IDS"])
            choice = {"text": "ignored", "token_ids": ids}
            self.answer(200, {"choices": [choice], "output_ids": ids})
            if "die-later" in HOW:
                say("CUDA error: the card fell off the bus")
                os._exit(3)

    def answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def main() -> None:
    note("processes", os.getpid())
    note("arguments", sys.argv[1:])
    if "stubborn" in HOW:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "fork" in HOW:
        helper = subprocess.Popen([sys.executable, "-c", HELPER], start_new_session=True)
        note("processes", helper.pid)
    global KEY
    KEY = key()
    say(f"loading weights {KEY}")
    if "die" in HOW:
        say("ValueError: no room for the KV cache")
        sys.exit(1)
    if "hang" in HOW:
        threading.Event().wait()
    port = int(sys.argv[sys.argv.index("--port") + 1])
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    server.serve_forever()


if __name__ == "__main__":
    main()

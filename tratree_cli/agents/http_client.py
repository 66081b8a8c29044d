"""JSON over HTTP with the standard library: kept connections, several servers, bounded retries.

An HTTP package would replace the connections but not the rotation over servers, the pauses or the
way a closed client wakes its threads, which are most of this file. Each thread keeps one connection
per server. Redirects are not followed and proxies are not used: a policy server is named by its own
address.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import random
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
LONGEST_PAUSE = 30.0
LARGEST_ANSWER = 64 << 20


class Unreachable(Exception):  # noqa: N818 - reads as what it is where it is caught
    """No server answered within the allowed number of tries."""


@dataclass(frozen=True)
class HttpAnswer:
    """A final answer (not one that is tried again)."""

    status: int
    body: bytes
    url: str


class JsonClient:
    """Asks the servers in turn, in JSON; thread-safe.

    A request is tried ``1 + retries`` times, each on the next server, with pauses that double from
    ``pause`` seconds (or the value of ``Retry-After``), shortened at random so that many requests
    do not come back at the same moment.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        key: str | None = None,
        timeout: float = 120.0,
        retries: int = 5,
        pause: float = 0.5,
    ) -> None:
        self._urls = list(urls)
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"
        self._timeout = timeout
        self._retries = retries
        self._pause = pause
        self._turn = itertools.count()
        self._mine = threading.local()
        self._open: list[http.client.HTTPConnection] = []
        self._closed = threading.Event()

    def post(self, path: str, content: Any) -> HttpAnswer:
        """POST ``content``; raises ``Unreachable`` when all tries failed."""
        return self._ask("POST", path, orjson.dumps(content))

    def get(self, path: str) -> HttpAnswer:
        """GET ``path``; raises ``Unreachable`` when all tries failed."""
        return self._ask("GET", path, None)

    def _ask(self, method: str, path: str, body: bytes | None) -> HttpAnswer:
        first, why = next(self._turn), ""
        for attempt in range(self._retries + 1):
            if self._closed.is_set():
                why = "the client was closed"
                break
            url = self._urls[(first + attempt) % len(self._urls)]
            wait = None
            try:
                answer, after = self._once(url, method, path, body)
                if answer.status not in RETRIED:
                    return answer
                why, wait = f"{url} answered {answer.status}", after
            except (OSError, http.client.HTTPException) as error:
                why = f"{url}: {error or type(error).__name__}"
            if attempt < self._retries:
                self._rest(attempt, wait)
        raise Unreachable(f"{why} ({self._retries + 1} tries)")

    def close(self) -> None:
        """Close all connections; waiting requests fail."""
        self._closed.set()
        for connection in self._open:
            # Closing alone does not wake a thread that is reading; shutting down does.
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                connection.close()

    def _once(
        self, url: str, method: str, path: str, body: bytes | None
    ) -> tuple[HttpAnswer, float | None]:
        connection, fresh = self._connection(url)
        try:
            try:
                response = self._send(connection, url, method, path, body)
            except (ConnectionError, http.client.BadStatusLine):
                # A server may close an idle connection at any time; that is no failure yet.
                if fresh:
                    raise
                connection.close()
                response = self._send(connection, url, method, path, body)
            read = response.read(LARGEST_ANSWER)
            if response.read(1):
                connection.close()
        except BaseException:
            connection.close()
            raise
        after = response.getheader("Retry-After", "")
        return HttpAnswer(response.status, read, url), float(after) if after.isdigit() else None

    def _send(
        self,
        connection: http.client.HTTPConnection,
        url: str,
        method: str,
        path: str,
        body: bytes | None,
    ) -> http.client.HTTPResponse:
        connection.request(method, urlsplit(url).path + path, body, self._headers)
        return connection.getresponse()

    def _connection(self, url: str) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection to a server, and whether it is a new connection."""
        kept: dict[str, http.client.HTTPConnection] = self._mine.__dict__.setdefault("kept", {})
        if url in kept:
            return kept[url], False
        parts = urlsplit(url)
        if parts.scheme == "https":
            context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                parts.netloc, timeout=self._timeout, context=context
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=self._timeout)
        kept[url] = connection
        self._open.append(connection)
        return connection, True

    def _rest(self, attempt: int, retry_after: float | None) -> None:
        pause = min(LONGEST_PAUSE, self._pause * 2**attempt) if retry_after is None else retry_after
        began = time.monotonic()
        length = min(
            LONGEST_PAUSE, pause * random.uniform(0.5, 1.0) if retry_after is None else pause
        )
        self._closed.wait(length - (time.monotonic() - began))

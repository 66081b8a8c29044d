"""A served model as a policy: any server with the OpenAI chat protocol.

Conversations are answered by a pool of threads, as many as episodes run at once; each keeps its
own connection, and servers are taken in turn. What a server refuses because of the request (a
content filter, a prompt that is too long) ends that conversation; what it fails at (429, 5xx, a
timeout, a closed connection) is tried again with growing pauses, on the other servers too, and a
bounded number of failures in a row is an outage that stops the run. The key is read from the
environment and appears in no file and no message.

Seeds are sent along, but whether equal seeds give equal answers depends on the server.
"""

from __future__ import annotations

import itertools
import json
import os
import queue
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from tratree_cli.agents.http_client import HttpAnswer, JsonClient, Unreachable
from tratree_cli.agents.policy import Opening, PolicyOutageError, Reply, Turn
from tratree_cli.errors import InputError
from tratree_cli.formats.agent_text import storable
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, POLICY_ERROR

KEY_VARIABLES = ("TRATREE_API_KEY", "OPENAI_API_KEY")
LONGEST_ANSWER = 1 << 20
"""Characters of an answer that are kept; what is longer is cut."""
_TOO_LONG = re.compile(r"context.?length|maximum context|too many tokens|prompt is too long", re.I)


@dataclass
class Dialogue:
    """One conversation; ``ids`` are its tokens for servers that take tokens."""

    seed: int
    setting: Mapping[str, Any]
    messages: list[Mapping[str, str]] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)

    @property
    def turn_seed(self) -> int:
        """One seed per turn: servers start their generator anew with each request."""
        return (self.seed + len(self.messages)) % (1 << 31)


class ServedPolicy:
    """Conversations with ``model`` behind one or several base ``urls`` (``http://host:8000/v1``).

    ``concurrency`` requests run at once, each with ``timeout`` seconds and ``retries`` repetitions.
    ``extra_body`` are further fields of every request's body. Refusals are kept in ``refusals`` and
    handed to ``on_refusal`` as they come. ``key`` is used instead of the environment's.
    """

    path = "/chat/completions"

    def __init__(
        self,
        urls: Sequence[str],
        model: str,
        *,
        concurrency: int = 32,
        timeout: float = 120.0,
        retries: int = 5,
        pause: float = 0.5,
        max_new_tokens: int = 128,
        extra_body: Mapping[str, Any] | None = None,
        on_refusal: Callable[[Mapping[str, Any]], None] | None = None,
        key: str | None = None,
    ) -> None:
        key = key or next(
            (os.environ[name] for name in KEY_VARIABLES if os.environ.get(name)), None
        )
        self._key = key
        self._client = JsonClient(urls, key=key, timeout=timeout, retries=retries, pause=pause)
        self._model = model
        self._max_new_tokens = max_new_tokens
        self._extra_body = dict(extra_body or {})
        self._on_refusal = on_refusal
        self.refusals: list[dict[str, Any]] = []
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="served")
        self._turns = itertools.count()
        self._dialogues: dict[int, Dialogue] = {}
        self._ready: queue.SimpleQueue[tuple[int, Reply | BaseException]] = queue.SimpleQueue()
        self._submitted: dict[int, int] = {}

    @classmethod
    def open(cls, place: str, **options: Any) -> ServedPolicy:
        """From ``URL[,URL...]#model`` (what follows ``openai:`` in a policy reference)."""
        urls, _, model = place.partition("#")
        addresses = [url.strip().rstrip("/") for url in urls.split(",") if url.strip()]
        if not model or not addresses or not all(re.match(r"https?://", url) for url in addresses):
            raise InputError(
                f"'openai:{place}' is no policy: write openai:http://host:8000/v1#model"
            )
        if any("@" in url.split("/")[2] or "?" in url for url in addresses):
            raise InputError(
                "a server's address is written into logs, so it must not hold a key or a password; "
                f"set {KEY_VARIABLES[0]} in the environment instead"
            )
        return cls(addresses, model, **options)

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            self._dialogues[opening.slot] = Dialogue(
                opening.seed, opening.setting, list(opening.prefix)
            )

    def submit(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            dialogue = self._dialogues[turn.slot]
            dialogue.messages.append({"role": "user", "content": turn.observation})
            number = next(self._turns)
            self._submitted[number] = turn.slot
            self._pool.submit(self._ask, number, turn.slot, dialogue)

    def collect(self) -> list[Reply]:
        ready = [self._ready.get()]
        while not self._ready.empty():
            ready.append(self._ready.get())
        replies = []
        for number, reply in ready:
            slot = self._submitted.pop(number, None)
            if isinstance(reply, BaseException):
                raise reply
            # A slot that was finished meanwhile no longer waits for its answer.
            if slot is None or slot not in self._dialogues:
                continue
            replies.append(reply)
            if reply.end is None:
                message = {"role": "assistant", "content": reply.text}
                self._dialogues[slot].messages.append(message)
        return replies or self.collect()

    def finish(self, slots: Iterable[int]) -> None:
        gone = set(slots)
        for slot in gone:
            self._dialogues.pop(slot, None)
        self._submitted = {n: slot for n, slot in self._submitted.items() if slot not in gone}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _ask(self, number: int, slot: int, dialogue: Dialogue) -> None:
        """One request, in a thread of the pool."""
        try:
            answer = self._client.post(self.path, self._body(dialogue))
            self._ready.put((number, self._reply(slot, dialogue, answer)))
        except Unreachable as error:
            self._ready.put((number, PolicyOutageError(f"the policy server gave up: {error}")))
        # An exception in a pool thread would be lost: replies carry it to ``collect``.
        except BaseException as error:  # noqa: BLE001
            self._ready.put((number, error))

    def _body(self, dialogue: Dialogue) -> dict[str, Any]:
        return {
            "model": self._model,
            "messages": list(dialogue.messages),
            "temperature": dialogue.setting.get("temperature", 1.0),
            "top_p": dialogue.setting.get("top_p", 1.0),
            "max_tokens": self._max_new_tokens,
            "seed": dialogue.turn_seed,
            "stream": False,
            **self._extra_body,
        }

    def _reply(self, slot: int, dialogue: Dialogue, answer: HttpAnswer) -> Reply:
        if answer.status in (401, 403):
            where = " or ".join(KEY_VARIABLES)
            raise PolicyOutageError(
                f"the policy server {answer.url} wants a key ({answer.status}); set {where}"
            )
        if answer.status == 404:
            raise PolicyOutageError(
                f"the policy server {answer.url} knows no model '{self._model}' (404)"
            )
        if answer.status != 200:
            text = answer.body[:2000].decode("utf-8", "replace")
            if _TOO_LONG.search(text):
                return Reply(slot, end=CONTEXT_OVERFLOW)
            return self._refused(slot, f"{answer.status}: {text[:200]}")
        return self._said(slot, dialogue, answer)

    def _said(self, slot: int, dialogue: Dialogue, answer: HttpAnswer) -> Reply:
        """The reply in an answer with status 200."""
        try:
            # The standard library's parser, because orjson refuses lone surrogates.
            choice = json.loads(answer.body)["choices"][0]
            text = choice["message"].get("content") or ""
        except (ValueError, LookupError, TypeError, AttributeError):
            return self._refused(slot, f"the answer is no chat completion: {answer.body[:200]!r}")
        if choice.get("finish_reason") == "content_filter":
            return self._refused(slot, "content filter")
        return Reply(slot, storable(str(text))[:LONGEST_ANSWER])

    def _refused(self, slot: int, why: str) -> Reply:
        # Some servers repeat the key in their refusal, and this is stored with the trajectory.
        why = why.replace(self._key, "***") if self._key else why
        record = {"slot": slot, "why": why}
        self.refusals.append(record)
        if self._on_refusal is not None:
            self._on_refusal(record)
        return Reply(slot, end=POLICY_ERROR, detail=why)


def open_served(argument: str, options: Mapping[str, Any], batch: int) -> ServedPolicy:
    """The served model ``URL[,URL...]#model``, with ``batch`` requests at once."""
    return ServedPolicy.open(argument, concurrency=batch, **options)

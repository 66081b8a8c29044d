"""A model of the store or the hub as a policy, played by an engine that is started for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tratree_cli.agents.engines import (
    BASE,
    ENGINES,
    Limits,
    ServedModel,
    ServingEngine,
    served_model,
)
from tratree_cli.agents.managed_server import Lease, join
from tratree_cli.agents.policy import Opening, Policy, PolicyOutageError, Reply, Turn
from tratree_cli.agents.served import ServedPolicy
from tratree_cli.errors import InputError
from tratree_cli.models.load import context_length, resolve_base

SECONDS_PER_TURN = 600.0


class EnginePolicy:
    """``inner``, which talks to the server of ``lease``; closing it gives the lease back."""

    def __init__(self, inner: Policy, lease: Lease) -> None:
        self._inner = inner
        self._lease = lease

    def begin(self, openings: Sequence[Opening]) -> None:
        self._inner.begin(openings)

    def submit(self, turns: Sequence[Turn]) -> None:
        self._inner.submit(turns)

    def collect(self) -> list[Reply]:
        try:
            return self._inner.collect()
        except PolicyOutageError as error:
            if why := self._lease.why_ended():
                name = self._lease.command.engine
                raise PolicyOutageError(f"{name} stopped: {why}") from error
            raise

    def finish(self, slots: Iterable[int]) -> None:
        self._inner.finish(slots)

    def close(self) -> None:
        self._inner.close()
        self._lease.close()


def started(engine: ServingEngine, folder: Path, limits: Limits) -> tuple[Lease, str]:
    """A lease of a server that answers for the model in ``folder``, and the model's name there."""
    model = served_model(folder)
    lease = join(engine.command(model, limits))
    try:
        lease.wait_until_ready()
        engine.note_version(lease)
        return lease, engine.prepare(lease, model)
    except BaseException:
        lease.close()
        raise


def _open(name: str, argument: str, options: Mapping[str, Any], batch: int) -> EnginePolicy:
    engine = ENGINES[name]
    folder = Path(argument) if Path(argument).is_dir() else resolve_base(argument).folder
    limits = Limits(
        max_context=int(options.get("max_context", 4096)),
        dtype=str(options.get("dtype", "auto")),
        device=str(options.get("device", "auto")),
    )
    lease, model = started(engine, folder, limits)
    try:
        new_tokens = int(options.get("max_new_tokens", 128))
        arguments = options.get("chat_template_kwargs") or {}
        return EnginePolicy(
            _client(engine, lease, model, folder, limits, new_tokens, batch, arguments), lease
        )
    except BaseException:
        lease.close()
        raise


def _client(
    engine: ServingEngine,
    lease: Lease,
    model: str,
    folder: Path,
    limits: Limits,
    max_new_tokens: int,
    batch: int,
    arguments: Mapping[str, Any],
) -> Policy:
    """Token ids where the server and the model's template allow it, messages elsewhere."""
    common: dict[str, Any] = {
        "concurrency": batch,
        "max_new_tokens": max_new_tokens,
        "timeout": SECONDS_PER_TURN,
        "retries": 3,
        "key": lease.key,
    }
    if engine.protocol != "chat":
        from tratree_cli.agents.served_tokens import TokenPolicy
        from tratree_cli.models.chat_encoding import TurnEncoder
        from tratree_cli.models.load import read_tokenizer
        from tratree_cli.models.template_arguments import set_arguments

        tokenizer = read_tokenizer(folder)
        set_arguments(tokenizer, arguments)
        try:
            chat = TurnEncoder(tokenizer, _stops(served_model(folder)))
        except InputError:
            # A server can render what cannot be followed here, but has the base's template alone.
            if model != BASE or not tokenizer.chat_template:
                raise
        else:
            longest = max((len(token) for token in tokenizer.get_vocab()), default=1)
            return TokenPolicy(
                lease.url,
                model,
                chat,
                protocol=engine.protocol,
                max_context=min(limits.max_context, context_length(folder) or limits.max_context),
                longest_token=longest,
                adapter=model if model != BASE else "",
                **common,
            )
    extra = {"chat_template_kwargs": dict(arguments)} if arguments else {}
    return ServedPolicy([f"{lease.url}/v1"], model, extra_body=extra, **common)


def _stops(model: ServedModel) -> list[int]:
    """The ids at which the model's own generation settings stop."""
    from tratree_cli.models.folder_checks import read_config

    for name in ("generation_config.json", "config.json"):
        for folder in (model.folder, model.base):
            if (folder / name).is_file():
                eos = read_config(folder / name).get("eos_token_id")
                if eos is not None:
                    return [eos] if isinstance(eos, int) else list(eos)
    return []


def open_vllm(argument: str, options: Mapping[str, Any], batch: int) -> EnginePolicy:
    return _open("vllm", argument, options, batch)


def open_sglang(argument: str, options: Mapping[str, Any], batch: int) -> EnginePolicy:
    return _open("sglang", argument, options, batch)


def open_transformers(argument: str, options: Mapping[str, Any], batch: int) -> EnginePolicy:
    return _open("transformers", argument, options, batch)

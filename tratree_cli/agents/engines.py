"""The serving engines that tratree starts itself: vLLM, SGLang and ``transformers serve``.

Each needs nothing in tratree's own environment: the command that starts it is a variable
(``TRATREE_VLLM="uvx vllm"``). What is here is how each is called: arguments, key, readiness,
adapters, version. An adapter is served by name beside its base, so that several adapters of one
base share one server; ``transformers serve`` knows no such names and loads a folder for each.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tratree_cli.agents.engine_supervisor import KEY_FILE, PORT
from tratree_cli.agents.managed_server import Lease, ServerCommand
from tratree_cli.errors import InputError, StageError
from tratree_cli.models import load
from tratree_cli.models.folder_checks import read_config, remote_code_allowed

RANKS = (64, 128, 256, 320, 512)
"""The ranks that servers are started for: of 64 or less all adapters share one (vLLM's steps)."""
MAX_ADAPTERS = 4
BASE = "base"
"""What the base is called on a server."""


@dataclass(frozen=True)
class ServedModel:
    """A model's folder as an engine is given it: the base, and an adapter of it by name."""

    folder: Path
    base: Path
    adapter: str = ""
    rank: int = 0


def served_model(folder: Path) -> ServedModel:
    """What is in ``folder``; ``InputError`` for an adapter of an adapter."""
    folder = folder.resolve()
    if not (folder / load.ADAPTER_FILE).is_file():
        return ServedModel(folder, folder)
    base = load.adapter_base(folder).folder.resolve()
    if (base / load.ADAPTER_FILE).is_file():
        raise InputError(
            f"{folder} is an adapter of an adapter, which no engine serves; train it with "
            "sft.lora_merge=true, or use --engine local"
        )
    config = read_config(folder / load.ADAPTER_FILE)
    ranks = [config.get("r", 0), *dict(config.get("rank_pattern") or {}).values()]
    name = "adapter-" + hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return ServedModel(folder, base, name, max(int(rank) for rank in ranks))


@dataclass(frozen=True)
class Limits:
    """What an engine is told beside the model. ``dtype`` may be ``auto``."""

    max_context: int
    dtype: str = "auto"
    device: str = "auto"


Arguments: TypeAlias = Callable[[ServedModel, Limits], list[str]]


@dataclass(frozen=True)
class ServingEngine:
    """One engine. ``protocol`` is what it speaks: token ids, or chat messages."""

    name: str
    variable: str
    program: str
    install: str
    elsewhere: str
    """A command that starts it without an installation."""
    protocol: Literal["vllm", "sglang", "chat"]
    arguments: Arguments
    load_path: str
    version_path: str = ""
    key_variable: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    ready: str = "/health"

    @property
    def has_key(self) -> bool:
        """Whether its server wants a key; ``transformers serve`` knows none."""
        return self.protocol != "chat"

    def words(self) -> list[str]:
        """The beginning of its command line: the variable's, or the program."""
        return shlex.split(os.environ.get(self.variable, "")) or [self.program]

    def executable(self) -> str:
        """The program's path; ``InputError`` with what to type where it is not installed."""
        program = self.words()[0]
        beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        found = shutil.which(program, path=beside)
        if found is None:
            raise InputError(
                f"--engine {self.name}: there is no command '{program}' here; type "
                f"{self.install}, or say how it is started: "
                f'export {self.variable}="{self.elsewhere}"'
            )
        return found

    def command(self, model: ServedModel, limits: Limits) -> ServerCommand:
        """How the server of ``model`` is started, which other adapters of its base share."""
        argv = [self.executable(), *self.words()[1:], *self.arguments(model, limits)]
        gpu = _visible_gpu(limits.device)
        environment = dict(self.environment) | ({"CUDA_VISIBLE_DEVICES": gpu} if gpu else {})
        return ServerCommand(self.name, tuple(argv), self.ready, self.key_variable, environment)

    def prepare(self, lease: Lease, model: ServedModel) -> str:
        """Make ``model`` known to the running server; returns its name there."""
        if self.protocol == "chat":
            name = str(_with_base(model) if model.adapter else model.folder)
            answer = lease.ask(self.load_path, {"model": name}, timeout=600)
            text = answer.body.decode("utf-8", "replace")
            if answer.status != 200 or re.search(r'"status": *"error"', text):
                raise StageError(f"{self.name} cannot load {model.folder}: {_reason(text)}")
            return name
        if not model.adapter:
            return BASE
        content = {"lora_name": model.adapter, "lora_path": str(model.folder)}
        answer = lease.ask(self.load_path, content, timeout=600)
        text = answer.body.decode("utf-8", "replace")
        # Another process may have been first.
        if answer.status != 200 and "already" not in text:
            raise StageError(f"{self.name} refuses the adapter {model.folder}: {_reason(text)}")
        return model.adapter

    def note_version(self, lease: Lease) -> str:
        """Ask for the version and keep it for ``noted_version``; empty where it is not told."""
        version = ""
        if self.version_path:
            answer = lease.ask(self.version_path)
            try:
                version = str(json.loads(answer.body)["version"])
            except (ValueError, LookupError, TypeError):
                version = ""
        elif not self._version_file().is_file():
            version = _printed_version([self.executable(), *self.words()[1:], "version"])
        if version:
            self._version_file().parent.mkdir(parents=True, exist_ok=True)
            self._version_file().write_text(version, "utf-8")
        return version or self.noted_version()

    def noted_version(self) -> str:
        """The version of this command that ran here last; empty where it is not known."""
        try:
            return self._version_file().read_text("utf-8")
        except (OSError, InputError):
            return ""

    def _version_file(self) -> Path:
        root = Path(os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree")
        program = Path(self.executable())
        made = f"{shlex.join([str(program), *self.words()[1:]])} {program.stat().st_mtime_ns}"
        return root / "engines" / f"{self.name}-{hashlib.sha256(made.encode()).hexdigest()[:16]}"


def _vllm(model: ServedModel, limits: Limits) -> list[str]:
    words = ["serve", str(model.base), "--host", "127.0.0.1", "--port", PORT]
    words += ["--served-model-name", BASE, "--max-model-len", str(_positions(model, limits))]
    # Only the settings of a request: the model's own would add a top-k that nothing records.
    words += ["--generation-config", "vllm"]
    words += ["--dtype", limits.dtype] if limits.dtype != "auto" else []
    words += ["--trust-remote-code"] if remote_code_allowed() else []
    if model.adapter:
        words += ["--enable-lora", "--max-lora-rank", str(_step(model))]
        words += ["--max-loras", str(MAX_ADAPTERS)]
    return words


def _sglang(model: ServedModel, limits: Limits) -> list[str]:
    words = ["serve", "--model-path", str(model.base), "--host", "127.0.0.1", "--port", PORT]
    words += ["--served-model-name", BASE, "--context-length", str(_positions(model, limits))]
    words += ["--config", KEY_FILE, "--sampling-defaults", "openai"]
    words += ["--dtype", limits.dtype] if limits.dtype != "auto" else []
    words += ["--trust-remote-code"] if remote_code_allowed() else []
    if model.adapter:
        words += ["--enable-lora", "--max-lora-rank", str(_step(model))]
        words += ["--lora-target-modules", "all", "--max-loras-per-batch", str(MAX_ADAPTERS)]
    return words


def _transformers(model: ServedModel, limits: Limits) -> list[str]:
    from tratree_cli.models.devices import choose_device, precision

    # The base is no argument: it would be the only model. What is asked for is loaded by request.
    words = ["serve", "--host", "127.0.0.1", "--port", PORT]
    device = choose_device(limits.device)
    words += ["--device", "cuda" if device.startswith("cuda") else device]
    words += ["--dtype", precision(limits.device, limits.dtype)]
    return words + (["--trust-remote-code"] if remote_code_allowed() else [])


ENGINES: Mapping[str, ServingEngine] = {
    engine.name: engine
    for engine in (
        ServingEngine(
            name="vllm",
            variable="TRATREE_VLLM",
            program="vllm",
            install="pip install vllm",
            elsewhere="uvx vllm",
            protocol="vllm",
            arguments=_vllm,
            load_path="/v1/load_lora_adapter",
            version_path="/version",
            key_variable="VLLM_API_KEY",
            environment=(("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "True"),),
        ),
        ServingEngine(
            name="sglang",
            variable="TRATREE_SGLANG",
            program="sglang",
            install="pip install sglang",
            elsewhere="uvx sglang",
            protocol="sglang",
            arguments=_sglang,
            load_path="/load_lora_adapter",
            version_path="/server_info",
        ),
        ServingEngine(
            name="transformers",
            variable="TRATREE_TRANSFORMERS",
            program="transformers",
            install="pip install 'transformers[serving]'",
            elsewhere="uvx --from transformers[serving] transformers",
            protocol="chat",
            arguments=_transformers,
            load_path="/load_model",
            environment=(("HF_HUB_OFFLINE", "1"),),
        ),
    )
}


def noted_version(name: str) -> str:
    """The version of the engine ``name`` that ran here last; empty where it is not known."""
    return ENGINES[name].noted_version() if name in ENGINES else ""


def _positions(model: ServedModel, limits: Limits) -> int:
    return min(limits.max_context, load.context_length(model.base) or limits.max_context)


def _step(model: ServedModel) -> int:
    """The least of ``RANKS`` that holds the adapter; its own rank where none does."""
    return next((rank for rank in RANKS if model.rank <= rank), model.rank)


def _visible_gpu(device: str) -> str:
    """What ``CUDA_VISIBLE_DEVICES`` is for ``cuda:N``: the N-th of those that are visible."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not number.isdecimal():
        return ""
    visible = [word for word in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if word]
    return visible[int(number)] if int(number) < len(visible) else number


def _with_base(model: ServedModel) -> Path:
    """A folder of links to the files of both, which transformers loads as a model with an adapter.

    The adapter's own come last: its tokenizer is the one that it was trained with.
    """
    root = Path(os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree")
    place = root / "engines" / model.adapter
    place.mkdir(parents=True, exist_ok=True)
    files = {file.name: file for folder in (model.base, model.folder) for file in folder.iterdir()}
    for name, file in files.items():
        fresh = place / f".{name}.{os.getpid()}"
        fresh.symlink_to(file.resolve())
        fresh.replace(place / name)
    return place


def _printed_version(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    found = re.search(r"\d+\.\d+\S*", done.stdout)
    return found[0] if found else ""


def _reason(text: str) -> str:
    """What a server gives as the reason, in one line."""
    last = (text.strip().splitlines() or [""])[-1].removeprefix("data: ")
    try:
        content: Any = json.loads(last)
        for name in ("error", "detail", "message", "error_message"):
            content = content.get(name, content) if isinstance(content, dict) else content
        return " ".join(str(content).split())[:400]
    except ValueError:
        return " ".join(text.split())[-400:] or "it gave no reason"

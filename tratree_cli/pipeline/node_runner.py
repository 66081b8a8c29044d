"""Computing one node: under the store's lock, in this process, with its circumstances recorded."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tratree_cli import startup
from tratree_cli.errors import StageError, is_out_of_memory
from tratree_cli.pipeline import code_digest
from tratree_cli.pipeline.graph import Job, Node

if TYPE_CHECKING:
    from tratree_store import Entry
    from tratree_store.why import Reason

    from tratree_cli.pipeline.runtime import Runtime


def run_node(
    runtime: Runtime, node: Node, inputs: Mapping[str, Sequence[Entry]]
) -> tuple[Entry, bool]:
    """Compute one node under the store's lock; returns the entry and whether it was there."""
    startup.collect_as_usual()
    recipe, label = node.recipe(inputs), runtime.spoken(node)

    def on_wait(holder: Any) -> None:
        runtime.reporter.warn(f"{label}: waiting for {holder}")

    with runtime.store.build(
        recipe, runtime.wait, on_wait, force=node.key in runtime.forced, accept=runtime.accept
    ) as build:
        if build.entry is not None:
            return build.entry, True
        runtime.reporter.started(label, in_short(build.reason))
        began, cpu = time.monotonic(), _cpu_seconds()
        job = Job(
            node=node,
            inputs=inputs,
            out=build.path,
            store_root=runtime.store_root,
            scratch=runtime.store.partial,
            options=runtime.options,
            progress=lambda done, total, note: runtime.reporter.progress(label, done, total, note),
        )
        try:
            result = node.stage.load()(job)
        except (MemoryError, RuntimeError, OSError) as error:
            if not is_out_of_memory(error):
                raise
            raise StageError(
                f"{label}: out of memory; lower sft.micro_batch, explore.block or the "
                "number of workers"
            ) from error
        for message in result.warnings if result.said else ():
            runtime.reporter.warn(f"{label}: {message}")
        provenance = {
            **_circumstances(runtime, cpu),
            "code": code_digest.reached(node),
            "config": node.config.to_dict(),
            "warnings": list(result.warnings),
            "partial": result.partial,
            "label": node.label,
        }
        summary, seconds = dict(result.summary), time.monotonic() - began
        if result.adopt is not None:
            return build.adopt(result.adopt, summary, provenance, seconds), False
        return build.publish(summary, provenance, seconds), False


def in_short(reason: Reason) -> str:
    """Why something runs, in one line: the differences to the nearest earlier recipe."""
    return "; ".join(cause.text for cause in reason.because[:3]) or reason.text


def _circumstances(runtime: Runtime, cpu: float) -> dict[str, Any]:
    """What is recorded beside an artifact and never keyed."""
    from tratree_store.secrecy import without_secrets

    from tratree_cli import __version__

    loaded = ("torch", "transformers", "trl", "peft", "sentence_transformers", "numpy")
    versions = {
        name: str(getattr(sys.modules[name], "__version__", ""))
        for name in loaded
        if name in sys.modules
    }
    return {
        "tratree": __version__,
        "python": platform.python_version(),
        "versions": versions,
        "threads": runtime.options.threads,
        "workers": runtime.options.workers,
        "device": runtime.options.device,
        "command": [without_secrets(word) for word in runtime.command],
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
        "gpu": _gpu(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _cpu_seconds() -> float:
    """Processor time of this process and of those it started and saw end."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _gpu() -> str | None:
    """The GPU that this process computed on, if it did."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


class Quiet:
    """Nobody is there to be told anything."""

    def started(self, label: str, reason: str) -> None: ...
    def progress(self, label: str, done: int, total: int, note: str) -> None: ...
    def finished(self, label: str, entry: Any, cached: bool) -> None: ...
    def warn(self, message: str) -> None: ...
    def hint(self, command: str) -> None: ...
    def show(self, renderable: Any) -> None: ...
    def close(self) -> None: ...

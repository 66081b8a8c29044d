"""Computing one node: under the store's lock, in this process, with its circumstances recorded."""

from __future__ import annotations

import platform
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tratree_cli import startup
from tratree_cli.errors import StageError, is_out_of_memory
from tratree_cli.models.folder_checks import remote_code_allowed
from tratree_cli.pipeline import code_digest
from tratree_cli.pipeline.graph import Job, Node, Options, Result
from tratree_cli.pipeline.reporter import PartReporter

if TYPE_CHECKING:
    from tratree_store import Entry, Store
    from tratree_store.why import Reason

    from tratree_cli.pipeline.reporter import Reporter


@dataclass(frozen=True)
class NodeRun:
    """A node whose inputs exist, and how it is to be computed; picklable, for a worker process."""

    node: Node
    inputs: Mapping[str, Sequence[Entry]]
    label: str
    options: Options = field(default_factory=Options)
    forced: bool = False
    """Whether it runs although its recipe is in the store."""
    strict_code: bool = False
    """Whether an artifact that other source code made counts as absent."""
    wait: float | None = None
    """Seconds to wait for another process that computes the same recipe; None: without limit."""
    command: Sequence[str] = ()
    part_of: str = ""
    """The stage whose body asked for the node while it ran; recorded."""

    def job(self, out: Path, store: Store, reporter: Reporter) -> Job[Any]:
        """What the node's body is handed."""
        return Job(
            node=self.node,
            inputs=self.inputs,
            out=out,
            store_root=store.root,
            scratch=store.partial,
            options=self.options,
            progress=lambda done, total, note: reporter.progress(self.label, done, total, note),
            realise=lambda node: _realise_for(self, node, store, reporter),
        )


def _realise_for(run: NodeRun, node: Node, store: Store, reporter: Reporter) -> Entry:
    """The artifact of ``node``, which the body of ``run`` asks for while it runs.

    It is an artifact like all others and outlives a kill of ``run``; people see it as a part of it.
    """
    inputs = {
        role: [
            _realise_for(run, source, store, reporter) if isinstance(source, Node) else source
            for source in sources
        ]
        for role, sources in node.inputs.items()
    }
    asked = run.node.stage.name
    part = replace(run, node=node, inputs=inputs, label=node.label, forced=False, part_of=asked)
    return run_node(part, store, PartReporter(reporter, run.label), said=False)[0]


def run_node(
    run: NodeRun, store: Store, reporter: Reporter, *, said: bool = True
) -> tuple[Entry, bool]:
    """Compute one node under the store's lock; returns the entry and whether it was there.

    What it warns about is recorded, and ``said`` to people.
    """
    startup.collect_as_usual()
    node = run.node
    accept = code_digest.code_mismatch if run.strict_code else None

    def on_wait(holder: Any) -> None:
        reporter.warn(f"{run.label}: waiting for {holder}")

    with store.build(
        node.recipe(run.inputs), run.wait, on_wait, force=run.forced, accept=accept
    ) as build:
        if build.entry is not None:
            return build.entry, True
        reporter.started(run.label, short_reason(build.reason))
        began, cpu = time.monotonic(), _cpu_seconds()
        result = _called(run, run.job(build.path, store, reporter))
        for message in result.warnings if said and result.said else ():
            reporter.warn(f"{run.label}: {message}")
        provenance = {
            **_circumstances(run, cpu),
            **node.recorded,
            **({"part_of": run.part_of} if run.part_of else {}),
            "inputs": {role: [e.recipe for e in entries] for role, entries in run.inputs.items()},
            "code": code_digest.reachable_files(node),
            "config": node.config.to_dict(),
            "warnings": list(result.warnings),
            "partial": result.partial,
            "label": node.label,
        }
        summary, seconds = dict(result.summary), time.monotonic() - began
        if result.adopt is not None:
            return build.adopt(result.adopt, summary, provenance, seconds), False
        return build.publish(summary, provenance, seconds), False


def _called(run: NodeRun, job: Job[Any]) -> Result:
    try:
        return run.node.stage.load()(job)
    except (MemoryError, RuntimeError, OSError) as error:
        if not is_out_of_memory(error):
            raise
        raise StageError(
            f"{run.label}: out of memory; lower sft.micro_batch, explore.block or the "
            "number of workers"
        ) from error


def short_reason(reason: Reason) -> str:
    """Why something runs, in one line: the differences to the nearest earlier recipe."""
    return "; ".join(cause.text for cause in reason.because[:3]) or reason.text


def _circumstances(run: NodeRun, cpu: float) -> dict[str, Any]:
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
        "threads": run.options.threads,
        "workers": run.options.workers,
        "device": run.options.device,
        **({"trust_remote_code": True} if remote_code_allowed() else {}),
        "command": [without_secrets(word) for word in run.command],
        "cpu_seconds": round(_cpu_seconds() - cpu, 3),
        "gpu": _gpu(),
        "cpu": _cpu(),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def _cpu_seconds() -> float:
    """Processor time of this process and of those it started and saw end."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@cache
def _cpu() -> str:
    """The processor by its model; its architecture where the system does not tell the model."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    return platform.processor() or platform.machine()


def _gpu() -> str | None:
    """The GPU that this process computed on, if it did."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())

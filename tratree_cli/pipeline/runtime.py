"""Running nodes: find them in the store or compute them, in this process or in several.

The plan is pulled from its roots. A node whose inputs are known has a recipe; a recipe that the
store holds is a hit and nothing of its body is even imported. Independent misses may run side by
side in worker processes (``jobs``): the store's locks make that safe, and because a body sees only
its own inputs the bytes do not depend on what ran beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tratree_cli.errors import StageError, WouldRunError
from tratree_cli.pipeline import code_digest
from tratree_cli.pipeline.graph import Node, Options, order
from tratree_cli.pipeline.node_runner import Quiet, in_short, run_node

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tratree_store import Entry, Store
    from tratree_store.why import Reason


class Reporter(Protocol):
    """Whoever shows a person what is going on (``display.progress``), or nobody."""

    def started(self, label: str, reason: str) -> None: ...
    def progress(self, label: str, done: int, total: int, note: str) -> None: ...
    def finished(self, label: str, entry: Entry, cached: bool) -> None: ...
    def warn(self, message: str) -> None: ...
    def hint(self, command: str) -> None: ...
    def show(self, renderable: Any) -> None: ...
    def close(self) -> None: ...


@dataclass
class Losses:
    """What could not be computed: the nodes that failed, and everything that stands on them."""

    failed: list[tuple[Node, StageError]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    """The keys of all nodes that have no artifact because of it."""

    def __bool__(self) -> bool:
        return bool(self.keys)

    def add(self, node: Node, error: StageError, waiting: Sequence[Node]) -> None:
        """``node`` failed; ``waiting``, in order, are the nodes that may have needed it."""
        self.failed.append((node, error))
        self.keys.add(node.key)
        for other in waiting:
            if any(source.key in self.keys for source in other.upstream()):
                self.keys.add(other.key)


@dataclass
class Runtime:
    """How the nodes of one command are realised."""

    store_root: Path
    reporter: Reporter
    options: Options = field(default_factory=Options)
    frozen: bool = False
    force: bool = False
    strict_code: bool = False
    wait: float | None = None
    jobs: int = 1
    command: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    """What single nodes are called, by key, where their own label would not tell them apart."""
    forced: frozenset[str] = frozenset()
    """The keys of nodes that run although they are cached; ``force`` puts the root among them."""
    _found: dict[str, Entry] = field(default_factory=dict)
    _before: dict[str, list[Entry]] = field(default_factory=dict)
    _outdated: dict[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> Store:
        if not hasattr(self, "_store"):
            from tratree_store import Store

            self._store = Store(self.store_root)
            self._store.on_warning = self.reporter.warn
        return self._store

    def realise(self, root: Node) -> Entry:
        """The artifact of ``root``, computing whatever is missing below it."""
        self._complete(root, None)
        return self._found[root.key]

    def attempt(self, root: Node) -> Losses:
        """Compute what can be had below ``root``, past the stages that fail."""
        losses = Losses()
        self._complete(root, losses)
        return losses

    def _complete(self, root: Node, losses: Losses | None) -> None:
        """``losses`` takes what fails; without it the first failure ends the work."""
        missing = [node for node in self._nodes(root) if not self._hit(node)]
        self._warn_of_other_code()
        if not missing:
            return
        if self.frozen:
            names = ", ".join(self.spoken(node) for node in missing)
            raise WouldRunError(f"not in the store, and --frozen forbids to run it: {names}")
        _require_models(missing)
        if self.jobs > 1 and len(missing) > 2:
            self._run_side_by_side(missing, losses)
            return
        while missing:
            node = missing.pop(0)
            try:
                self._keep(node, *self._run(node))
            except StageError as error:
                missing = self._lose(node, error, losses, missing)

    def _lose(
        self, node: Node, error: StageError, losses: Losses | None, waiting: Sequence[Node]
    ) -> list[Node]:
        """Note that ``node`` failed, if going on is wanted; returns what can still be had."""
        if losses is None:
            raise error
        losses.add(node, error, waiting)
        self.reporter.warn(f"{self.spoken(node)} failed: {error}")
        return [other for other in waiting if other.key not in losses.keys]

    def plan(self, root: Node) -> list[PlanLine]:
        """What ``realise`` would do, without doing it."""
        lines = []
        for node in self._nodes(root):
            hit = self._hit(node, quiet=True)
            unknown = [source.label for source in node.upstream() if source.key not in self._found]
            if hit:
                lines.append(PlanLine(node, "cached", self._found[node.key].ref, None, ""))
                continue
            inputs = self._inputs(node)
            reason = "" if inputs is None else in_short(self._reason(node, inputs))
            state = f"depends on {', '.join(unknown)}" if unknown else "would run"
            lines.append(PlanLine(node, state, "", self._seconds_before(node), reason))
        return lines

    @property
    def accept(self) -> Callable[[Entry], str] | None:
        """What there is against an artifact of the right recipe: nothing, unless code is strict."""
        return code_digest.objection if self.strict_code else None

    def _reason(self, node: Node, inputs: Mapping[str, Sequence[Entry]]) -> Reason:
        forced = node.key in self.forced
        return self.store.reasons(node.recipe(inputs), forced=forced, accept=self.accept)

    def _warn_of_other_code(self) -> None:
        files = sorted({file for found in self._outdated.values() for file in found})
        if files:
            self.reporter.warn(
                f"{len(self._outdated)} of the cached artifacts were made by other source code "
                f"(changed since: {code_digest.listed(files)}); --strict-code makes them again"
            )

    def spoken(self, node: Node) -> str:
        """What people are told this node is."""
        return self.labels.get(node.key, node.label)

    def _seconds_before(self, node: Node) -> float | None:
        """What the most similar earlier run took: same label and recipe, same label, same stage."""
        stage = node.stage.name
        if stage not in self._before:
            self._before[stage] = list(self.store.entries(stage=stage, limit=200))
        best: tuple[int, float] | None = None
        for entry in self._before[stage]:
            alike = entry.provenance.get("label") == node.label
            recipe = entry.provenance.get("config", {}).get("recipe") == node.config.recipe
            nearness = 2 * alike + (alike and recipe)
            if best is None or nearness > best[0]:
                best = (nearness, entry.seconds)
        return None if best is None else best[1]

    def _inputs(self, node: Node) -> dict[str, list[Entry]] | None:
        resolved: dict[str, list[Entry]] = {}
        for role, given in node.inputs.items():
            resolved[role] = []
            for source in given:
                entry = self._found.get(source.key) if isinstance(source, Node) else source
                if entry is None:
                    return None
                resolved[role].append(entry)
        return resolved

    def _nodes(self, root: Node) -> list[Node]:
        """What stands behind ``root``, inputs first; notes whether it is forced to run."""
        self.forced = frozenset({root.key} if self.force else ())
        return order([root])

    def _hit(self, node: Node, *, quiet: bool = False) -> bool:
        if node.key in self._found:
            return True
        inputs = self._inputs(node)
        if inputs is None or node.key in self.forced:
            return False
        entry = self.store.find(node.recipe(inputs), self.accept)
        if entry is None:
            return False
        self._found[node.key] = entry
        if files := code_digest.changed(entry):
            self._outdated[node.key] = files
        if not quiet:
            self.reporter.finished(self.spoken(node), entry, cached=True)
        return True

    def _keep(self, node: Node, entry: Entry, cached: bool) -> None:
        self._found[node.key] = entry
        self.reporter.finished(self.spoken(node), entry, cached)

    def _run(self, node: Node) -> tuple[Entry, bool]:
        inputs = self._inputs(node)
        assert inputs is not None, f"{node.label} was scheduled before its inputs"
        return run_node(self, node, inputs)

    def _run_side_by_side(self, missing: Sequence[Node], losses: Losses | None) -> None:
        """Dispatch nodes whose inputs are known to worker processes until none is left."""
        from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, wait

        from tratree_cli.pipeline.node_workers import compute, crew

        waiting = list(missing)
        running: dict[Future[tuple[Entry, bool]], Node] = {}
        with crew(self.jobs) as (pool, events):
            while waiting or running:
                for node in list(waiting):
                    inputs = self._inputs(node)
                    if inputs is None or len(running) >= self.jobs:
                        continue
                    waiting.remove(node)
                    if self._hit(node):
                        continue
                    worker = Runtime(
                        self.store_root,
                        Quiet(),
                        self.options,
                        strict_code=self.strict_code,
                        wait=self.wait,
                        command=self.command,
                        labels={node.key: self.spoken(node)},
                        forced=self.forced,
                    )
                    running[pool.submit(compute, worker, node, inputs)] = node
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                self._relay(events)
                for future in done:
                    try:
                        self._keep(running[future], *future.result())
                    except StageError as error:
                        waiting = self._lose(running[future], error, losses, waiting)
                    except BrokenExecutor as error:
                        names = ", ".join(self.spoken(node) for node in running.values())
                        raise StageError(
                            f"a process was ended from outside while these ran: {names} (out of "
                            "memory?); run the same command again, with fewer --jobs if it recurs"
                        ) from error
                    del running[future]

    def _relay(self, events: Any) -> None:
        while not events.empty():
            name, arguments = events.get()
            getattr(self.reporter, name)(*arguments)


def _require_models(nodes: Sequence[Node]) -> None:
    """A model that cannot be had stops the command before anything is computed for it."""
    wanted = {identity for node in nodes for identity in node.models.values()}
    hub = sorted(identity for identity in wanted if identity.startswith("hub:"))
    if hub:
        from tratree_cli.stages.training_inputs import require_resolved

        for identity in hub:
            require_resolved(identity)


@dataclass(frozen=True)
class PlanLine:
    """One line of ``--dry-run``: a node, its state, seconds it took before, and why it misses."""

    node: Node
    state: str
    ref: str
    seconds: float | None
    reason: str

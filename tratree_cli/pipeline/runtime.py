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
from typing import TYPE_CHECKING

from tratree_cli.errors import StageError, WouldRunError
from tratree_cli.pipeline import code_digest
from tratree_cli.pipeline.graph import Node, Options, order
from tratree_cli.pipeline.node_runner import NodeRun, run_node, short_reason
from tratree_cli.pipeline.plan import EarlierRuns, PlanLine

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.models.memory import Forecast
    from tratree_cli.pipeline.reporter import Reporter


@dataclass
class Losses:
    """What could not be computed: the nodes that failed, and everything that stands on them."""

    failed: list[tuple[Node, StageError]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    """The keys of all nodes that have no artifact because of it."""

    def __bool__(self) -> bool:
        return bool(self.keys)

    def add(self, failed: Node, error: StageError, waiting: Sequence[Node]) -> None:
        """``failed`` failed; ``waiting``, in order, are the nodes that may have needed it."""
        self.failed.append((failed, error))
        self.keys.add(failed.key)
        for node in waiting:
            if any(source.key in self.keys for source in node.upstream()):
                self.keys.add(node.key)


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
    checks: list[Callable[[Sequence[Node]], None]] = field(default_factory=list)
    """Called with the nodes that are missing, before the first of them runs; may raise."""
    _entries: dict[str, Entry] = field(default_factory=dict)
    """The artifacts of nodes, by their keys."""
    _changed_code: dict[str, list[str]] = field(default_factory=dict)
    """The source files that changed since, by the keys of cached nodes."""
    _told_of_code: int = 0
    """Of how many of them was warned."""

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
        return self._entries[root.key]

    def attempt(self, root: Node) -> Losses:
        """Compute what can be had below ``root``, past the stages that fail."""
        losses = Losses()
        self._complete(root, losses)
        return losses

    def prepared(self, node: Node) -> NodeRun | None:
        """The node with its inputs, ready to be computed; None as long as an input is missing."""
        inputs = self._inputs(node)
        if inputs is None:
            return None
        return NodeRun(
            node,
            inputs,
            self.label(node),
            self.options,
            forced=node.key in self.forced,
            strict_code=self.strict_code,
            wait=self.wait,
            command=self.command,
        )

    def label(self, node: Node) -> str:
        """What people are told this node is."""
        return self.labels.get(node.key, node.label)

    def plan(self, root: Node) -> list[PlanLine]:
        """What ``realise`` would do, without doing it."""
        earlier = EarlierRuns(self.store)
        lines: list[PlanLine] = []
        for node in self._nodes(root):
            if self._hit(node, quiet=True):
                lines.append(PlanLine(node, "cached", self._entries[node.key].ref, None, ""))
                continue
            missing = [source for source in node.upstream() if source.key not in self._entries]
            names = tuple(source.label for source in missing)
            state = f"depends on {', '.join(names)}" if missing else "would run"
            seconds, reason = earlier.seconds(node), self._reason(node)
            lines.append(PlanLine(node, state, "", seconds, reason, names, self._memory(node)))
        if unmade := [line.node for line in lines if line.state != "cached"]:
            for check in self.checks:
                check(unmade)
        return lines

    def _complete(self, root: Node, losses: Losses | None) -> None:
        """``losses`` takes what fails; without it the first failure ends the work."""
        nodes = self._nodes(root)
        missing = [node for node in nodes if not self._hit(node)]
        self._warn_of_other_code()
        if not missing:
            return
        if self.frozen:
            names = ", ".join(self.label(node) for node in missing)
            raise WouldRunError(f"not in the store, and --frozen forbids to run it: {names}")
        _require_models(missing)
        for check in self.checks:
            check(missing)
        earlier = EarlierRuns(self.store)
        self.reporter.planned(len(nodes), [earlier.seconds(node) for node in missing])
        if self.jobs > 1 and len(missing) > 2:
            self._run_side_by_side(missing, losses)
        else:
            self._run_in_order(missing, losses)

    def _run_in_order(self, missing: list[Node], losses: Losses | None) -> None:
        while missing:
            node = missing.pop(0)
            run = self.prepared(node)
            assert run is not None, f"{node.label} was scheduled before its inputs"
            try:
                self._keep(node, *run_node(run, self.store, self.reporter))
            except StageError as error:
                missing = self._lose(node, error, losses, missing)

    def _run_side_by_side(self, missing: Sequence[Node], losses: Losses | None) -> None:
        """Hand nodes whose inputs exist to worker processes until none is left."""
        from tratree_cli.pipeline.node_workers import NodeWorkers

        waiting = list(missing)
        with NodeWorkers(self.jobs, self.store_root, self.reporter) as workers:
            while waiting or workers.busy:
                for node in list(waiting):
                    run = self.prepared(node) if workers.idle else None
                    if run is None:
                        continue
                    waiting.remove(node)
                    if not self._hit(node):
                        workers.submit(run)
                for node, outcome in workers.finished():
                    try:
                        self._keep(node, *outcome())
                    except StageError as error:
                        waiting = self._lose(node, error, losses, waiting)

    def _lose(
        self, node: Node, error: StageError, losses: Losses | None, waiting: Sequence[Node]
    ) -> list[Node]:
        """Note that ``node`` failed, if going on is wanted; returns what can still be had."""
        if losses is None:
            raise error
        losses.add(node, error, waiting)
        self.reporter.warn(f"{self.label(node)} failed: {error}")
        return [candidate for candidate in waiting if candidate.key not in losses.keys]

    @property
    def _accept(self) -> Callable[[Entry], str] | None:
        """What there is against an artifact of the right recipe: nothing, unless code is strict."""
        return code_digest.code_mismatch if self.strict_code else None

    def _reason(self, node: Node) -> str:
        """Why the node would run; empty as long as its inputs do not exist."""
        inputs = self._inputs(node)
        if inputs is None:
            return ""
        recipe, forced = node.recipe(inputs), node.key in self.forced
        return short_reason(self.store.reasons(recipe, forced=forced, accept=self._accept))

    def _memory(self, node: Node) -> Forecast | None:
        forecasts = node.stage.load_memory()
        return forecasts(node, self.options, self._found) if forecasts else None

    def _found(self, source: Node | Entry) -> Entry | None:
        return self._entries.get(source.key) if isinstance(source, Node) else source

    def _warn_of_other_code(self) -> None:
        files = sorted({file for changed in self._changed_code.values() for file in changed})
        if len(self._changed_code) > self._told_of_code:
            self._told_of_code = len(self._changed_code)
            self.reporter.warn(
                f"{len(self._changed_code)} of the cached artifacts were made by other source code "
                f"(changed since: {code_digest.join_names(files)}); "
                "--strict-code makes them again"
            )

    def _inputs(self, node: Node) -> dict[str, list[Entry]] | None:
        resolved: dict[str, list[Entry]] = {}
        for role, sources in node.inputs.items():
            resolved[role] = []
            for source in sources:
                entry = self._found(source)
                if entry is None:
                    return None
                resolved[role].append(entry)
        return resolved

    def _nodes(self, root: Node) -> list[Node]:
        """What stands behind ``root``, inputs first; notes whether it is forced to run."""
        self.forced = frozenset({root.key} if self.force else ())
        return order([root])

    def _hit(self, node: Node, *, quiet: bool = False) -> bool:
        if node.key in self._entries:
            return True
        inputs = self._inputs(node)
        if inputs is None or node.key in self.forced:
            return False
        entry = self.store.find(node.recipe(inputs), self._accept)
        if entry is None:
            return False
        self._entries[node.key] = entry
        if files := code_digest.changed(entry):
            self._changed_code[node.key] = files
        if not quiet:
            self.reporter.finished(self.label(node), entry, cached=True)
        return True

    def _keep(self, node: Node, entry: Entry, cached: bool) -> None:
        self._entries[node.key] = entry
        self.reporter.finished(self.label(node), entry, cached)


def _require_models(nodes: Sequence[Node]) -> None:
    """A model that cannot be had stops the command before anything is computed for it."""
    from tratree_cli.models.template_arguments import files_of

    identities = {files_of(identity) for node in nodes for identity in node.models.values()}
    hub = sorted(identity for identity in identities if identity.startswith("hub:"))
    if hub:
        from tratree_cli.models.load import require_resolved

        for identity in hub:
            require_resolved(identity)

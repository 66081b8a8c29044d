"""Lineage: what an artifact was made from, as a graph that can be drawn.

A node is an entry (a recipe and what it gave), because one object may have several makers: a
training stage that finds nothing to learn gives back the very model that it was given. An input is
followed to the newest entry that gave it *before* it was used. Inputs that are not in the store
(collected, or never pulled) stay in the graph as bare digests: a drawing that hid them would lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tratree_store.entries import Entry

#: (object digest, entry that uses it) -> the entry that made it.
Maker = Callable[[str, Entry], Entry | None]


@dataclass(frozen=True)
class Edge:
    """``source`` (a node id) went into ``target`` as ``role``."""

    source: str
    target: str
    role: str


@dataclass(frozen=True)
class Lineage:
    """Nodes by id, inputs before what was made from them; ``missing`` are ids without an entry."""

    entries: dict[str, Entry]
    edges: tuple[Edge, ...]
    missing: dict[str, str]

    def label(self, node: str) -> str:
        """``stage kind:0123456789ab``, or the bare digest of what is not here."""
        entry = self.entries.get(node)
        if entry is None:
            return f"{self.missing[node][:12]} (not in the store)"
        return f"{entry.stage} {entry.kind}:{entry.object[:12]}"

    def inputs_of(self, node: str) -> list[Edge]:
        """The edges that end in ``node``, in the order of its recipe."""
        return [edge for edge in self.edges if edge.target == node]

    def mermaid(self) -> str:
        """A Mermaid flow chart; ids are made of digests, so no name can break it."""
        nodes = [f'  {node}["{self.label(node)}"]' for node in (*self.entries, *self.missing)]
        edges = [f"  {e.source} -->|{_bare(e.role)}| {e.target}" for e in self.edges]
        return "\n".join(["flowchart LR", *nodes, *edges])

    def dot(self) -> str:
        """The same for Graphviz."""
        nodes = [f'  {n} [label="{self.label(n)}"];' for n in (*self.entries, *self.missing)]
        edges = [f'  {e.source} -> {e.target} [label="{_bare(e.role)}"];' for e in self.edges]
        head = ["digraph lineage {", "  rankdir=LR;", "  node [shape=box];"]
        return "\n".join([*head, *nodes, *edges, "}"])

    def as_json(self) -> list[dict[str, Any]]:
        """One object per entry: ref, recipe, stage, inputs by role."""
        return [
            {
                "ref": entry.ref,
                "recipe": entry.recipe,
                "stage": entry.stage,
                "created": entry.created,
                "seconds": entry.seconds,
                "inputs": {role: list(digests) for role, digests in entry.inputs.items()},
            }
            for entry in self.entries.values()
        ]


def _bare(role: str) -> str:
    return "".join(char if char.isalnum() or char in "-_." else " " for char in role)


def node_of(entry: Entry) -> str:
    """The id of an entry in graphs."""
    return f"n{entry.object[:12]}{entry.recipe[:12]}"


def lineage(roots: Iterable[Entry], maker: Maker) -> Lineage:
    """Everything the roots were made from, the roots included."""
    found: dict[str, Entry] = {}
    edges: list[Edge] = []
    missing: dict[str, str] = {}
    seen: set[str] = set()
    # Depth first without recursion: an entry is listed when it is met for the second time.
    stack = [(entry, False) for entry in reversed(list(roots))]
    while stack:
        entry, inputs_listed = stack.pop()
        node = node_of(entry)
        if inputs_listed:
            found[node] = entry
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((entry, True))
        for role, digests in entry.inputs.items():
            for digest in digests:
                made_by = maker(digest, entry)
                if made_by is None:
                    source = f"m{digest[:24]}"
                    missing[source] = digest
                else:
                    source = node_of(made_by)
                    stack.append((made_by, False))
                edges.append(Edge(source, node, role))
    return Lineage(found, tuple(edges), missing)

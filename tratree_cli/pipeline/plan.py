"""What realising a node would do: the lines of ``--dry-run``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.pipeline.graph import Node

if TYPE_CHECKING:
    from tratree_store import Entry, Store


@dataclass(frozen=True)
class PlanLine:
    """A node, its state, the seconds that it took before (None: unknown), and why it misses.

    ``state`` is ``cached``, ``would run`` or ``depends on ...``: a key is known only when the
    inputs exist.
    """

    node: Node
    state: str
    ref: str
    seconds: float | None
    reason: str


class EarlierRuns:
    """What nodes took before, from the newest entries of their stages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: dict[str, list[Entry]] = {}

    def seconds(self, node: Node) -> float | None:
        """What the most similar earlier run took: same label and recipe, same label, same stage."""
        stage = node.stage.name
        if stage not in self._entries:
            self._entries[stage] = list(self._store.entries(stage=stage, limit=200))
        best: tuple[int, float] | None = None
        for entry in self._entries[stage]:
            same_label = entry.provenance.get("label") == node.label
            recipe = entry.provenance.get("config", {}).get("recipe")
            similarity = 2 * same_label + (same_label and recipe == node.config.recipe)
            if best is None or similarity > best[0]:
                best = (similarity, entry.seconds)
        return None if best is None else best[1]

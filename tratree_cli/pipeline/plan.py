"""What realising a node would do: the lines of ``--dry-run``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tratree_cli.pipeline.graph import Node

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.models.memory import Forecast


@dataclass(frozen=True)
class PlanLine:
    """A node, its state, the seconds that it took before (None: unknown), and why it misses.

    ``state`` is ``cached``, ``would run`` or ``depends on ...``: a key is known only when the
    inputs exist. ``memory`` is what it would take, where it computes with a model of known shape.
    """

    node: Node
    state: str
    ref: str
    seconds: float | None
    reason: str
    missing: tuple[str, ...] = ()
    """The labels of inputs that do not exist yet."""
    memory: Forecast | None = None


class EarlierRuns:
    """What nodes took before, from the newest entries of their stages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._entries: dict[str, list[Entry]] = {}

    def seconds(self, node: Node) -> float | None:
        """What the newest run of this stage and label took; None where that says nothing.

        Only runs of the same recipe, environment, data and base models count: a stage of another
        model may take a thousand times as long.
        """
        stage = node.stage.name
        if stage not in self._entries:
            self._entries[stage] = list(self._store.entries(stage=stage, limit=200))
        wanted = _circumstances(node.config.to_dict())
        for entry in self._entries[stage]:
            same = entry.provenance.get("label") == node.label
            if same and _circumstances(entry.provenance.get("config", {})) == wanted:
                return entry.seconds
        return None


def _circumstances(config: Mapping[str, Any]) -> tuple[Any, ...]:
    """What decides how long a stage takes, as far as a configuration tells."""
    env, models = config.get("env", {}), config.get("models", {})
    return (
        config.get("recipe"),
        env.get("name"),
        env.get("data"),
        models.get("weak"),
        models.get("strong"),
    )

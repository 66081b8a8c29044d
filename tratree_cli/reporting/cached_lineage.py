"""A store that answers the same question about lineage once.

The rows of a report share most of what they were made from. Without this, a report over a hundred
evaluations reads and checks every record of the store about a hundred times.
"""

from __future__ import annotations

from tratree_store import Entry, Store


class CachedLineage(Store):
    """Keeps every answer about lineage, so it must not outlive the report that it serves."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root, durable=store.durable, on_warning=store.on_warning)
        self._makers: dict[tuple[str, str, str], Entry | None] = {}
        self._records: dict[str, list[Entry]] = {}

    def maker(self, digest: str, user: Entry) -> Entry | None:
        key = (digest, user.recipe, user.object)
        if key not in self._makers:
            self._makers[key] = super().maker(digest, user)
        return self._makers[key]

    def records_of(self, recipe: str) -> list[Entry]:
        if recipe not in self._records:
            self._records[recipe] = super().records_of(recipe)
        return self._records[recipe]

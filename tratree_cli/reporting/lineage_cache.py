"""A store that answers the same question about lineage once.

The rows of a report share most of what they were made from. Without this, a report over a hundred
evaluations reads and checks every record of the store about a hundred times.
"""

from __future__ import annotations

from tratree_store import Entry, Store


class Remembering(Store):
    """What it has been asked it remembers, so it must not outlive the report that it serves."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.root, durable=store.durable, on_warning=store.on_warning)
        self._makers: dict[tuple[str, str, str], Entry | None] = {}

    def maker(self, digest: str, user: Entry) -> Entry | None:
        asked = (digest, user.recipe, user.object)
        if asked not in self._makers:
            self._makers[asked] = super().maker(digest, user)
        return self._makers[asked]

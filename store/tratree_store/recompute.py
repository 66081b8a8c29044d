"""The reproduction check: run a recipe again elsewhere and compare the bytes.

The second run happens in a scratch store that holds copies (links, where the file system can) of
the artifact's lineage and nothing else, so it cannot be answered from the cache, and whatever it
does leaves the real store as it was. How a recipe is run is not the store's business: the caller
hands in a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from tratree_store.copying import copy_file
from tratree_store.entries import Entry
from tratree_store.errors import StoreError, explained
from tratree_store.objects import FILES, folder_of, read_manifest, remove_folder
from tratree_store.sharing import arrival
from tratree_store.store import Store

#: (entry to make again, scratch store with its lineage) -> the entry made in the scratch store.
Rerun = Callable[[Entry, Store], Entry]


def copy_entries(source: Store, target: Store, entries: Iterable[Entry]) -> None:
    """Give ``target`` the same entries, by reflink or hard link where that works."""
    target.prepare()
    with target.adding(), explained("copy artifacts", target.root):
        for entry in entries:
            manifest = read_manifest(source.objects, entry.object)
            if not folder_of(target.objects, entry.object).is_dir():
                work = target.tmp / f"copy-{entry.object}"
                for file in manifest.files:
                    copy_file(entry.path / file.path, work / FILES / file.path)
                target.take_in(work, manifest)
                remove_folder(work)
            target.record(replace(entry, path=folder_of(target.objects, entry.object) / FILES))


def recompute(store: Store, entry: Entry, rerun: Rerun) -> str | None:
    """None if the recipe gives the same object again, else a sentence that names the difference.

    Raises ``StoreError`` if ``rerun`` made something else than it was asked for.
    """
    store.prepare()
    graph = store.lineage([entry])
    above = [other for other in graph.entries.values() if other.recipe != entry.recipe]
    with arrival(store) as folder:
        scratch = Store(folder / "store", durable=False, on_warning=store.on_warning)
        copy_entries(store, scratch, above)
        made = rerun(entry, scratch)
        scratch.leases.release()
        if made.recipe != entry.recipe:
            raise StoreError(
                f"running {entry.stage} again asked for recipe {made.recipe[:12]} and not "
                f"{entry.recipe[:12]}: the code or a default has changed since"
            )
        if made.object == entry.object:
            return None
        before = {f.path: f for f in read_manifest(store.objects, entry.object).files}
        after = {f.path: f for f in read_manifest(scratch.objects, made.object).files}
    names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    return (
        f"{entry.ref[:24]} came out as {made.object[:12]}: {names[0]} is the first of "
        f"{len(names)} files that differ"
    )

"""What dead processes left: working folders, unfinished arrivals, partial results nobody touched.

The folders are listed first and the holders of locks are asked afterwards: whoever makes a folder
holds its lock before, so a folder that was seen has a holder that is seen too, or none that lives.
The other way round a process that begins in between would look dead.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tratree_store.held_locks import live_holders
from tratree_store.objects import names_in
from tratree_store.store import Store

#: Drafts and arrivals of whoever holds no lock of their own are left alone this long (seconds).
_HOUR = 3600.0


def leftovers(store: Store, now: float, younger_than: float) -> list[Path]:
    """Paths under ``tmp/``, ``incoming/`` and ``partial/`` that nobody uses; see above."""
    incoming, partial = store.root / "incoming", store.root / "partial"
    listed = {folder: names_in(str(folder)) for folder in (store.tmp, incoming, partial)}
    holders = list(live_holders(store.locks))
    held = {path.stem for path, _ in holders}
    needs = {need for _, holder in holders if holder for need in holder.needs}
    unused = max(younger_than, _HOUR)

    def found() -> Iterator[Path]:
        for name in listed[store.tmp]:
            path = store.tmp / name
            if name.startswith("build-"):
                if name.removeprefix("build-")[:64] not in held:
                    yield path
            elif name.startswith("trash-") or (name not in held and newest(path, now) > unused):
                yield path
        for name in listed[incoming]:
            path = incoming / name
            if f"incoming-{name.removesuffix('.part')}" not in held and age(path, now) > unused:
                yield path
        for name in listed[partial]:
            path = partial / name
            used = f"partial:{name}" in needs or not path.is_dir()
            if not used and newest(path, now) > younger_than:
                yield path

    return list(found())


def age(path: Path, now: float) -> float:
    """Seconds since ``path`` itself changed; 0 if it is gone."""
    try:
        return now - path.stat().st_mtime
    except OSError:
        return 0.0


def newest(path: Path, now: float) -> float:
    """Seconds since anything under ``path`` changed."""
    least = age(path, now)
    for folder, _, files in os.walk(path):
        for name in (".", *files):
            least = min(least, age(Path(folder) / name, now))
    return least

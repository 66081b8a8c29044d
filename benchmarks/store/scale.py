"""A million artifacts: what a question costs, and whether its cost per artifact stays the same.

    python -m benchmarks.store.scale                            # 10,000 and 100,000 artifacts
    python -m benchmarks.store.scale --sizes 100000 1000000     # as in docs/store.md

Only records are written (an artifact's files would only fill the disk), in chains of four, so that
three in four have an input. Times are CPU milliseconds of this process; "per artifact" divides the
questions that look at everything by the number of artifacts.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tratree_store import Entry, Recipe, Store
from tratree_store import entries as records
from tratree_store.catalogue import from_records
from tratree_store.gc import collect, plan
from tratree_store.keys import sha256

STAGES = (("demos", "demos"), ("sft", "model"), ("explore", "rollouts"), ("build-tree", "tree"))
DAY = 86400.0
#: These look at every artifact; the others must not.
OF_ALL = ("gc --dry-run", "gc, reading the records", "gc, of which a tenth goes", "reindex")


def write(root: Path, first: int, last: int, old: int) -> None:
    """Records of the artifacts ``first`` to ``last``; ``first`` begins a chain.

    The first ``old`` of all (whole chains) are two months older than the others.
    """
    store, before = Store(root, durable=False), ""
    now = time.time()
    for number in range(first, last):
        stage, kind = STAGES[number % 4]
        inputs = {"input": before} if number % 4 else {}
        recipe = Recipe(stage, 1, kind, {"seed": number // 4, "lr": 1e-4}, inputs)
        before = sha256(f"artifact {number}".encode())
        made = now - (90 if number < old else 30) * DAY
        entry = Entry(
            kind=kind,
            object=before,
            recipe=recipe.digest,
            document=recipe.document,
            path=root,
            summary={"number": number},
            provenance={},
            created=round(made + number % 1_000_000, 3),
            seconds=1.0,
            size=1000,
            stage=stage,
        )
        path = records.record_path(store.records, entry.recipe, entry.object)
        path.parent.mkdir(parents=True)
        path.write_bytes(records.encode(entry))
        os.utime(path, (made, made))


def old_of(size: int) -> int:
    """A tenth of the artifacts, in whole chains."""
    return size // 40 * 4


def collect_the_oldest(store: Store, count: int) -> None:
    """A whole collection that takes the first ``count`` artifacts."""
    taken = collect(store, younger_than=60 * DAY)
    if len(taken.entries) != count:
        raise SystemExit(f"{len(taken.entries)} went instead of {count}")


def measure(store: Store, count: int, wanted: str) -> dict[str, float]:
    """CPU milliseconds of each question whose name begins with ``wanted``."""
    missing = Recipe("demos", 1, "demos", {"seed": -1, "lr": 1e-4})
    known = Recipe("demos", 1, "demos", {"seed": count // 8, "lr": 1e-4})
    prefix = sha256(f"artifact {count // 2}".encode())[:16]
    questions = {
        "reindex": store.reindex,
        "ls, first page": lambda: list(store.entries(limit=50)),
        "lookup": lambda: (store.records_of(known.digest), store.find(missing)),
        "resolve a prefix": lambda: store.resolve(prefix),
        "why (a miss)": lambda: store.reasons(missing),
        "gc --dry-run": lambda: plan(store),
        "gc, reading the records": lambda: from_records(store),
        "gc, of which a tenth goes": lambda: collect_the_oldest(store, old_of(count)),
    }
    figures = {}
    if not "reindex".startswith(wanted):
        store.reindex()
    for name, ask in questions.items():
        if not name.startswith(wanted):
            continue
        store.leases.release()
        start = time.process_time()
        ask()
        figures[name] = (time.process_time() - start) * 1000
        print(f"  {name}: {figures[name]:,.1f}", flush=True)
    store.leases.release()
    return figures


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="growth of the store's questions")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--folder", type=Path, default=None, help="where to make the stores")
    parser.add_argument("--writers", type=int, default=2)
    parser.add_argument("--only", default="", help="questions whose names begin so")
    given = parser.parse_args()
    columns = []
    for size in given.sizes:
        root = Path(tempfile.mkdtemp(dir=given.folder)) / "store"
        try:
            store = Store(root, durable=False, on_warning=lambda _: None)
            store.prepare()
            borders = [size // 4 * part // given.writers * 4 for part in range(given.writers)]
            ends = [*borders[1:], size]
            with ProcessPoolExecutor(given.writers) as pool:
                olds = [old_of(size)] * given.writers
                list(pool.map(write, [root] * given.writers, borders, ends, olds))
            print(f"{size:,} records written", flush=True)
            columns.append(measure(store, size, given.only))
        finally:
            shutil.rmtree(root.parent)
    print("CPU milliseconds".ljust(28) + "".join(f"{size:>14,}" for size in given.sizes))
    for name in columns[0]:
        print(name.ljust(28) + "".join(f"{column[name]:>14,.1f}" for column in columns))
    for name in [name for name in OF_ALL if name in columns[0]]:
        each = [
            column[name] * 1000 / size for column, size in zip(columns, given.sizes, strict=True)
        ]
        print(f"{name}, each (µs)".ljust(28) + "".join(f"{one:>14,.1f}" for one in each))


if __name__ == "__main__":
    main()

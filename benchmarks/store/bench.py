"""How the store's answers grow with the number of artifacts, and how fast bytes move.

    python -m benchmarks.store.bench                        # 1,000 and 10,000 artifacts
    python -m benchmarks.store.bench --sizes 10000 100000   # as in docs/store.md

Artifacts are written straight to disk (publishing is measured on its own), chained so that each has
an input, in a folder that is removed afterwards. Times are CPU seconds of this process, medians of
several runs, because wall times of a shared machine say little; the last lines are fresh processes.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

from tratree_store import Entry, Recipe, Store
from tratree_store import entries as records
from tratree_store.copying import copy_file
from tratree_store.gc import plan
from tratree_store.keys import sha256
from tratree_store.migrations import build
from tratree_store.objects import FILES, MANIFEST, File, Manifest, folder_of, hash_file
from tratree_store.rows import Row, row_of

STAGES = (("demos", "demos"), ("sft", "model"), ("explore", "rollouts"), ("build-tree", "tree"))


def fill(root: Path, count: int, writers: int = 1) -> Store:
    """A store with ``count`` artifacts, in chains of four, and its index."""
    store = Store(root, durable=False)
    store.prepare()
    borders = [count // 4 * part // writers * 4 for part in range(writers)] + [count]
    with ProcessPoolExecutor(writers) as pool:
        rows = [
            row for part in pool.map(write, [store] * writers, pairwise(borders)) for row in part
        ]
    with sqlite3.connect(store.index.path) as database:
        database.execute("PRAGMA journal_mode = wal")
        edges = [
            (row.recipe, "input", 0, before.object)
            for before, row in pairwise(rows)
            if row.stage != STAGES[0][0]
        ]

        def insert() -> int:
            values = map(astuple, rows)
            database.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            database.executemany("INSERT INTO inputs VALUES (?, ?, ?, ?)", edges)
            return len(rows)

        build(database, insert)
    return store


def write(store: Store, numbers: tuple[int, int]) -> list[Row]:
    """Write the artifacts of a range, which begins with a chain; the rows of their index."""
    before, rows = "", []
    for number in range(*numbers):
        stage, kind = STAGES[number % 4]
        inputs = {"input": before} if number % 4 else {}
        recipe = Recipe(stage, 1, kind, {"seed": number // 4, "lr": 1e-4}, inputs)
        data = f"artifact {number}".encode()
        manifest = Manifest((File("data.txt", sha256(data), len(data)),))
        folder = folder_of(store.objects, manifest.digest)
        (folder / FILES).mkdir(parents=True)
        (folder / FILES / "data.txt").write_bytes(data)
        (folder / MANIFEST).write_bytes(manifest.encode())
        entry = Entry(
            kind=kind,
            object=manifest.digest,
            recipe=recipe.digest,
            document=recipe.document,
            path=folder / FILES,
            summary={"number": number},
            provenance={},
            created=round(time.time() - 30 * 86400 + number, 3),
            seconds=1.0,
            size=len(data),
            stage=stage,
        )
        path = records.record_path(store.records, entry.recipe, entry.object)
        path.parent.mkdir(parents=True)
        path.write_bytes(records.encode(entry))
        os.utime(path, (entry.created, entry.created))
        rows.append(row_of(entry))
        before = manifest.digest
    return rows


def cpu(action: Callable[[], object], times: int = 9) -> float:
    """Median CPU milliseconds of ``action``."""
    found = []
    for _ in range(times):
        start = time.process_time()
        action()
        found.append((time.process_time() - start) * 1000)
    return statistics.median(found)


def measure(store: Store, count: int) -> dict[str, float]:
    """CPU milliseconds of each question."""
    cached = Recipe("demos", 1, "demos", {"seed": count // 8, "lr": 1e-4})
    missing = Recipe("demos", 1, "demos", {"seed": -1, "lr": 1e-4})
    assert store.find(cached) is not None
    questions: dict[str, tuple[Callable[[], object], int]] = {
        "lookup, cached": (lambda: store.find(cached), 9),
        "lookup, missing": (lambda: store.find(missing), 9),
        "resolve kind@latest": (lambda: store.resolve("demos@latest"), 9),
        "ls, first page": (lambda: list(store.entries(limit=50)), 9),
        "why (a miss)": (lambda: store.reasons(missing), 5),
        "gc --dry-run": (lambda: plan(store), 1),
    }

    def publish() -> None:
        with store.build(missing, force=True) as build:
            (build.path / "data.txt").write_text("x")
            build.publish()

    questions["publish"] = publish, 5
    questions["reindex"] = store.reindex, 1
    figures = {}
    for name, (action, times) in questions.items():
        figures[name] = cpu(action, times)
        print(f"  {name} {figures[name]:.1f}", flush=True)
    return figures


def fresh(code: str) -> float:
    """CPU milliseconds of a new Python process, its start included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return 1000 * (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)


def large_files(folder: Path, megabytes: int = 512) -> None:
    """Hashing and copying stream: the memory of the process must not grow with the file."""
    path = folder / "large"
    with path.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(1 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    hash_file(path)
    seconds = time.process_time() - start
    how = copy_file(path, folder / "copy")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"hash {megabytes} MiB: {megabytes / seconds:.0f} MiB per CPU second; copied by {how}; "
        f"memory grew by {(after - before) / 1024:.1f} MiB"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--writers", type=int, default=2, help="processes that fill the stores")
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    columns: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        large_files(Path(folder))
        for size in options.sizes:
            root = Path(folder) / str(size)
            store = fill(root, size, options.writers)
            print(f"{size} artifacts written", flush=True)
            columns.append(measure(store, size))
            store.leases.release()
            lookup = (
                "from pathlib import Path; from tratree_store import Recipe, Store;"
                f"assert Store(Path({str(root)!r})).find("
                f"Recipe('demos', 1, 'demos', {{'seed': {size // 8}, 'lr': 1e-4}}))"
            )
            columns[-1]["fresh process, lookup"] = statistics.median(
                fresh(lookup) for _ in range(3)
            )
            shutil.rmtree(root)
    sizes = "".join(f"{size:>12,}" for size in options.sizes)
    print(f"\n{'CPU milliseconds':24}{sizes}{'growth':>9}")
    for name in columns[0]:
        growth = columns[-1][name] / max(columns[0][name], 1e-3)
        figures = "".join(f"{column[name]:12.1f}" for column in columns)
        print(f"{name:24}{figures}{growth:8.1f}x")
    print(f"{'bare python':24}{fresh('pass'):12.1f}")


if __name__ == "__main__":
    main()

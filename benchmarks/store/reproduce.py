"""Does every stage of a recipe give the same bytes again?

Makes the report of a recipe (cached where it is), then runs the recipe of every artifact in its
lineage once more in a scratch store, with the recorded number of threads, and compares the object
digests. One line an artifact; exit 1 if one differs. ``make reproduce``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from tratree_store import Store
from tratree_store.recompute import recompute

from tratree_cli.pipeline.recompute import rerun
from tratree_cli.stages.recorded import recorded_node
from tratree_cli.threads import limit_threads


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--env", default="webshop")
    parser.add_argument("--store", type=Path, default=Path(".tratree"))
    parser.add_argument("--one-each", action="store_true", help="the newest of each stage only")
    options = parser.parse_args()
    limit_threads(1)
    words = ["report", "--env", options.env, "--recipe", options.recipe, "--no-stdin"]
    made = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *words, "--store", options.store, "--json"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    store = Store(options.store)
    report = store.resolve(made.stdout.split('"ref":"')[1].split('"')[0])
    entries = list(store.lineage([report]).entries.values())
    if options.one_each:
        entries = list({entry.stage: entry for entry in entries}.values())
    failed = 0
    print(f"{'stage':14}{'artifact':26}{'threads':>8}{'then':>9}{'again':>9}  verdict")
    for entry in entries:
        start = time.monotonic()
        found = recompute(store, entry, partial(rerun, node_of=recorded_node))
        failed += found is not None
        threads = entry.provenance.get("threads")
        print(
            f"{entry.stage:14}{entry.ref[:24]:26}{threads!s:>8}{entry.seconds:8.1f}s"
            f"{time.monotonic() - start:8.1f}s  {found or 'same bytes'}",
            flush=True,
        )
    print(f"{len(entries)} artifacts, {failed} differ")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()

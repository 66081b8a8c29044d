"""Speed and memory of the WebShop engine at several catalogue sizes, one process each.

    python -m benchmarks.webshop.bench --data DIR [--sizes 1000 10000 100000] [--json]

A size larger than the data in DIR is reached by repeating products and perturbing them: another
asin, some words of the title exchanged for words of other products, and one new word, so that the
vocabulary grows as it does with real products. Without ``--data`` the embedded catalogue is the
seed (its texts are short). Figures are CPU seconds of the process and resident memory as the kernel
counts it; the first load builds the search index, the second one finds it in the cache.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import orjson


def enlarge(
    products: list[dict[str, Any]], attributes: dict[str, Any], size: int, folder: Path
) -> None:
    """Write a catalogue of ``size`` products made from the given ones."""
    draw = random.Random(size)
    words = [word for product in products for word in product["name"].split()]
    records, labels = [], {}
    for number in range(size):
        product = products[number % len(products)]
        if number >= len(products):
            title = product["name"].split() or ["thing"]
            for _ in range(max(1, len(title) // 4)):
                title[draw.randrange(len(title))] = draw.choice(words)
            made = f"{draw.choice(words)}{draw.randrange(size)}"
            asin = f"X{number:09d}"
            # Without instructions: a large catalogue has goals for few of its products.
            known = attributes.get(product["asin"], {}).get("attributes", [])
            labels[asin] = {"attributes": known}
            product = {**product, "asin": asin, "name": " ".join([*title, made])}
        else:
            labels[product["asin"]] = attributes.get(product["asin"], {})
        records.append(product)
    folder.mkdir(parents=True)
    (folder / "items_shuffle.json").write_bytes(orjson.dumps(records))
    (folder / "items_ins_v2.json").write_bytes(orjson.dumps(labels))


def measure(folder: Path, cache: Path, episodes: int) -> dict[str, Any]:
    """Open a folder and play; run in a process of its own."""
    from tratree_cli.envs.webshop.environment import open_webshop

    before = time.process_time()
    environment = open_webshop(str(folder), cache=cache)
    opened = time.process_time() - before
    memory_open = resident_megabytes()
    shop, draw = environment.shop, random.Random(0)
    session = shop.session()
    steps = searches = 0
    before = time.process_time()
    for _ in range(episodes):
        session.reset(draw.randrange(len(shop.goals)))
        # What an agent does: the whole instruction as query, then some of its words.
        words = session.goal.instruction.split()
        for query in (words, draw.sample(words, min(6, len(words)))):
            session.step(f"search[{' '.join(query)}]")
            session.step("click[next >]")
            session.step("click[< prev]")
            rows = session.clickables()[2:]
            steps, searches = steps + 3, searches + 1
            if not rows:
                continue
            session.step(f"click[{draw.choice(rows)}]")
            for option in session.clickables()[6:8]:
                session.step(f"click[{option}]")
                steps += 1
            session.step("click[features]")
            session.step("click[< prev]")
            steps += 3
        session.step("click[buy now]")
        steps += 1
    played = time.process_time() - before
    queries = [draw.choice(shop.goals).instruction for _ in range(200)]
    before = time.process_time()
    for query in queries:
        shop.inventory.index.search(query)
    searched = time.process_time() - before
    return {
        "products": len(shop.inventory.products),
        "goals": len(shop.goals),
        "open_cpu_s": round(opened, 2),
        "open_rss_mb": round(memory_open),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "steps_per_cpu_s": round(steps / played),
        "share_of_searches": round(searches / steps, 3),
        "search_ms": round(1000 * searched / len(queries), 3),
        "terms": len(shop.inventory.index.terms),
        "postings": len(shop.inventory.index.postings.documents),
    }


def resident_megabytes() -> float:
    """Resident memory now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--episodes", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--one", type=Path, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.episodes)))
        return
    products, attributes = seed_products(arguments.data)
    with tempfile.TemporaryDirectory() as scratch:
        for size in arguments.sizes:
            folder, cache = Path(scratch) / str(size), Path(scratch) / "cache"
            enlarge(products, attributes, size, folder)
            for attempt in ("built", "cached"):
                row = {"index": attempt, **in_own_process(folder, cache, arguments.episodes)}
                if arguments.json:
                    print(json.dumps(row), flush=True)
                else:
                    print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)


def seed_products(folder: Path | None) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Raw records to multiply."""
    from tratree_cli.envs.webshop.catalogue import embedded
    from tratree_cli.envs.webshop.files import read_folder

    if folder is None:
        catalogue = embedded()
        labels = {
            asin: {**labels, "instruction": f"find me {labels['attributes'][0]} things",
                   "instruction_attributes": labels["attributes"][:1]}
            for asin, labels in catalogue.attributes.items()
        }  # fmt: skip
        return catalogue.products, labels
    content = read_folder(folder)
    return [dict(record) for record in content.products], dict(content.attributes)


def in_own_process(folder: Path, cache: Path, episodes: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.webshop.bench", "--episodes", str(episodes)]
    command += ["--one", str(folder), str(cache)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    row: dict[str, Any] = json.loads(output)
    return row


if __name__ == "__main__":
    main()

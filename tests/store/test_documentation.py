"""What docs/store.md says can be done by hand, can be done by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tratree_store import Recipe, Store
from tratree_store.gc import collect

from .conftest import Make

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "store.md").read_text(encoding="utf-8")


def test_the_recipe_digest_can_be_recomputed_as_the_page_says(tmp_path: Path, make: Make) -> None:
    make("tree", seed=1, note="é", into=Store(tmp_path / ".tratree"))
    found = re.search(r"python3 - <<'END'\n(.*?)END", PAGE, re.DOTALL)
    assert found is not None
    subprocess.run([sys.executable, "-c", found[1]], cwd=tmp_path, check=True)


def test_every_folder_of_a_store_is_described_on_the_page(store: Store, make: Make) -> None:
    store.name("weak", make("tree", seed=1))
    make("tree", seed=2)
    store.partial({"a": 1})
    store.leases.release()
    collect(store, younger_than=0)
    for path in store.root.iterdir():
        name = path.name.removesuffix("-wal").removesuffix("-shm")
        assert re.search(rf"^  {re.escape(name)}", PAGE, re.MULTILINE), name


def test_a_lookup_touches_as_many_files_in_a_large_store_as_in_a_small_one(tmp_path: Path) -> None:
    touched: list[str] = []
    counting = False

    def hook(event: str, _: object) -> None:
        if counting and event in ("open", "os.listdir", "os.scandir"):
            touched.append(event)

    sys.addaudithook(hook)
    store = Store(tmp_path / "store", durable=False)
    counts = []
    for number in range(40):
        recipe = Recipe("sft", 1, "model", {"n": number})
        with store.build(recipe) as build:
            (build.path / "a").write_text(str(number))
            build.publish()
        if number in (3, 39):
            store.leases.release()
            touched.clear()
            counting = True
            assert store.find(Recipe("sft", 1, "model", {"n": 0})) is not None
            counting = False
            counts.append(len(touched))
    assert counts[0] == counts[1] < 20

"""The library stands alone: it imports no neighbour, nothing heavy, and loads no pickle."""

from __future__ import annotations

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from tratree_store import Store, StoreError

from .conftest import SOURCES, Make

FILES = sorted((SOURCES / "tratree_store").glob("*.py"))
ALLOWED = {"tratree_store", "sqlite_utils", "fsspec"}
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_imports_only_the_standard_library_and_what_is_declared(path: Path) -> None:
    outside = imports(path) - set(sys.stdlib_module_names) - ALLOWED
    assert outside == set()
    assert imports(path) & UNPICKLERS == set()
    assert "allow_pickle" not in path.read_text(encoding="utf-8")


def test_a_lookup_loads_neither_sqlite_utils_nor_anything_heavy(store: Store, make: Make) -> None:
    make("tree", seed=1)
    code = (
        "import sys\nfrom pathlib import Path\nfrom tratree_store import Recipe, Store\n"
        f"store = Store(Path({str(store.root)!r}))\n"
        "assert store.find(Recipe('make-tree', 1, 'tree', {'seed': 1}))\n"
        "assert store.resolve('tree@latest')\n"
        "heavy = {'torch', 'transformers', 'sqlite_utils', 'pandas', 'numpy', 'fsspec', 'rich'}\n"
        "print(sorted(heavy & set(sys.modules)), any(m.startswith('tratree_cli') "
        "for m in sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[] False"


class Bomb:
    """An object whose unpickling would raise."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('a pickle was loaded')",))


def test_pickles_in_place_of_records_indexes_or_names_are_never_loaded(
    store: Store, make: Make
) -> None:
    make("tree", seed=1)
    store.name("weak", make("tree", seed=2))
    bomb = pickle.dumps(Bomb())
    for path in (*store.records.glob("*/*/*.json"), *(store.root / "refs").iterdir()):
        path.write_bytes(bomb)
    store.index.path.write_bytes(bomb)
    assert list(store.entries()) == []
    with pytest.raises(StoreError):
        store.resolve("weak")

"""Mutation testing: change one token, run the tests of the package, and list what nobody noticed.

    python -m benchmarks.mutants store --sample 40     # minutes
    python -m benchmarks.mutants trees formats --whole # hours

What is changed: comparisons (a bound), arithmetic and logic operators, ``not``, numbers, ``True``
and ``False``. Messages and annotations are left alone. Each mutant lives in a copy of the tree, so
nothing here is touched. ``tests/mutants.toml`` says which tests belong to which package, and which
mutants change nothing that can be observed, with the reason. Exit code 1 if others survive.
"""

from __future__ import annotations

import argparse
import ast
import random
import re
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from benchmarks.mutant_tests import PackageTests

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("benchmarks", "docs", "examples", "store", "templates", "tests", "tratree_cli")
FILES = ("pyproject.toml", "README.md", "CHANGELOG.md", "Makefile", "LICENSE", "SECURITY.md")
_COMPARED = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "in": "not in", "not in": "in", "is": "is not", "is not": "is",
}  # fmt: skip
_COMPUTED = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "|": "&",
             "&": "|", "<<": ">>", ">>": "<<"}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """``old`` at ``start``..``end`` (offsets in the file) becomes ``new``.

    It is number ``place`` of the same changes of its line.
    """

    path: str
    line: int
    text: str
    start: int
    end: int
    old: str
    new: str
    place: int = 1

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.old!r} -> {self.new!r} in {self.text!r}"

    def is_in(self, known: Collection[tuple[str, ...]]) -> bool:
        """Whether it is listed, by what stays the same when lines move: file, text and change.

        Where a line has the same change twice, a fourth part may say which one is meant.
        """
        key = (self.path, self.text, f"{self.old} -> {self.new}")
        return key in known or (*key, str(self.place)) in known

    def applied(self, source: str) -> str:
        """The source with the change."""
        return source[: self.start] + self.new + source[self.end :]


def mutants(path: Path) -> Iterator[Mutant]:
    """Every mutant of a file, in the order of the places where they change it."""
    seen: Counter[tuple[int, str, str]] = Counter()
    for mutant in sorted(_changes(path), key=lambda mutant: mutant.start):
        seen[same := (mutant.line, mutant.old, mutant.new)] += 1
        yield replace(mutant, place=seen[same])


def _changes(path: Path) -> Iterator[Mutant]:
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(line: int, column: int) -> int:
        prefix = lines[line - 1].encode("utf-8")[:column].decode("utf-8")
        return starts[line - 1] + len(prefix)

    def between(before: ast.AST, after: ast.AST, words: dict[str, str]) -> Iterator[Mutant]:
        start = offset(before.end_lineno, before.end_col_offset)  # type: ignore[attr-defined]
        end = offset(after.lineno, after.col_offset)  # type: ignore[attr-defined]
        longest = sorted(words, key=len, reverse=True)
        forms = "|".join(rf"\b{w}\b" if w[0].isalpha() else re.escape(w) for w in longest)
        found = re.search(forms, re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), source[start:end]))
        if found:
            yield change(start + found.start(), start + found.end(), words[found[0]])

    def change(start: int, end: int, new: str) -> Mutant:
        line = source.count("\n", 0, start) + 1
        name = str(path.relative_to(ROOT))
        return Mutant(name, line, lines[line - 1].strip(), start, end, source[start:end], new)

    for node in _changeable(ast.parse(source)):
        if isinstance(node, ast.Compare):
            for before, after in zip(
                [node.left, *node.comparators], node.comparators, strict=False
            ):
                yield from between(before, after, _COMPARED)
        elif isinstance(node, ast.BinOp):
            yield from between(node.left, node.right, _COMPUTED)
        elif isinstance(node, ast.BoolOp):
            for before, after in zip(node.values, node.values[1:], strict=False):
                yield from between(before, after, {"and": "or", "or": "and"})
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            start = offset(node.lineno, node.col_offset)
            yield change(start, start + len("not"), "")
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
            start = offset(node.lineno, node.col_offset)
            end = offset(node.end_lineno or 0, node.end_col_offset or 0)
            yield change(start, end, str(not node.value) if isinstance(node.value, bool) else
                         f"({source[start:end]} + 1)")  # fmt: skip


def _changeable(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes outside annotations, decorators, texts, ``strict=`` and the import of types."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        if isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.keyword) and node.arg == "strict"
        ):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            todo += [v for v in (value if isinstance(value, list) else [value])
                     if isinstance(v, ast.AST)]  # fmt: skip


def noticed(mutant: Mutant, tests: PackageTests) -> str | None:
    """The test that fails with the mutant in the copy of the tree; None if it survives."""
    path = tests.tree / mutant.path
    source = path.read_text(encoding="utf-8")
    try:
        path.write_text(mutant.applied(source), encoding="utf-8")
        return tests.noticed_by(mutant.path, mutant.line)
    finally:
        path.write_text(source, encoding="utf-8")


def main() -> None:
    """Read the arguments, run, print."""
    plan = tomllib.loads((ROOT / "tests" / "mutants.toml").read_text(encoding="utf-8"))
    parser = argparse.ArgumentParser(description="change one token, run the tests")
    parser.add_argument("packages", nargs="*", default=list(plan), help=", ".join(plan))
    parser.add_argument("--sample", type=int, default=20, help="mutants a package")
    parser.add_argument("--whole", action="store_true", help="all mutants instead of a sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", nargs="*", default=["*"], help="only these, as */pairs.py")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder).resolve() / "tree"
        for name in COPIED:
            ignored = shutil.ignore_patterns("__pycache__", ".*")
            shutil.copytree(ROOT / name, tree / name, ignore=ignored, symlinks=True)
        for name in FILES:
            shutil.copy(ROOT / name, tree)
        unnoticed = 0
        for name in given.packages:
            stubs = [tree / "store" / f"{module}.py" for module in plan[name].get("absent", [])]
            for stub in stubs:
                stub.write_text("raise ImportError\n")
            unnoticed += _package(name, plan[name], given, tree)
            for stub in stubs:
                stub.unlink()
    sys.exit(1 if unnoticed else 0)


def _package(name: str, package: dict[str, Any], given: argparse.Namespace, tree: Path) -> int:
    """How many of a package's mutants survive that are not known to be equivalent."""
    known = {tuple(each["mutant"]) for each in package.get("equivalent", [])}
    paths = sorted({path for code in package["code"] for path in ROOT.glob(code)})
    found = [mutant for path in paths for mutant in mutants(path)]
    found = [mutant for mutant in found if mutant.old not in package.get("skipped", [])]
    found = [mutant for mutant in found if any(fnmatch(mutant.path, f) for f in given.files)]
    chosen = found
    if not given.whole:
        chosen = random.Random(given.seed).sample(found, min(given.sample, len(found)))
    arguments = [*package["tests"], *(f"--deselect={test}" for test in package.get("without", []))]
    tests = PackageTests(tree, arguments, package.get("preload", []))
    print(f"{name}: {tests}", flush=True)
    alive = equivalent = 0
    for mutant in chosen:
        if mutant.is_in(known):
            equivalent += 1
            print(f"equivalent {mutant}", flush=True)
            continue
        test = noticed(mutant, tests)
        alive += test is None
        print(f"killed {mutant} by {test}" if test else f"SURVIVED {mutant}", flush=True)
    print(
        f"{name}: {len(chosen) - equivalent - alive} of {len(chosen)} killed, {equivalent} known "
        f"to be equivalent; {len(found)} mutants in all, seed {given.seed}",
        flush=True,
    )
    return alive


if __name__ == "__main__":
    main()

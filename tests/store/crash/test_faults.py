"""Whichever call of an operation fails, it ends with one sentence, and the store stays sound."""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tratree_store import StoreError

from .faults import KINDS, Fault
from .scenes import SCENES, Scene, is_tidy


def attempt(scene: Scene, folder: Path, fault: Fault) -> Iterator[str]:
    """Act with the fault, look at what is left, and act again without it."""
    said: set[str] = set()
    try:
        with fault.injected():
            scene.act(folder, said.add)
    except StoreError as error:
        if "\n" in str(error) or len(str(error)) < 20:
            yield f"not a sentence: {error}"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        in_the_stage = isinstance(error, OSError) and "/tmp/build-" in fault.where
        if not in_the_stage:  # a stage's own writing raises its own errors
            yield f"raised {type(error).__name__}: {error}"
    if not fault.happened:
        return
    try:
        problems = list(scene.look(folder, frozenset(said)))
        if not problems:
            scene.act(folder, lambda _: None)
            problems += [f"next run: {text}" for text in scene.look(folder, scene.everything)]
            problems += [f"next run: {text}" for text in is_tidy(folder)]
        yield from problems
    except Exception as error:  # noqa: BLE001
        yield f"afterwards {type(error).__name__}: {error}"


def run(name: str, kind: str, code: int, folder: Path, step: int) -> tuple[int, list[str]]:
    """Fail call 1, 1 + step, … until none is left; how many were made to fail, what was wrong."""
    scene = SCENES[name]
    prepared, place = folder / "prepared", folder / "here"
    prepared.mkdir()
    scene.prepare(prepared)
    found, number = [], 1
    while True:
        shutil.copytree(prepared, place)
        fault = Fault(place, kind, code, number)
        said = list(attempt(scene, place, fault))
        shutil.rmtree(place)
        if not fault.happened:
            shutil.rmtree(prepared)
            return (number - 1 + step - 1) // step, found
        label = errno.errorcode.get(code, "short")
        where = fault.where.removeprefix(str(place))
        found += [f"{kind} {number} {label} at {where}\n    {text}" for text in said]
        number += step


def told(problems: list[str]) -> str:
    """The first problem of each sort, and how often each came."""
    sorts = Counter(text.splitlines()[-1].strip()[:50] for text in problems)
    first = {text.splitlines()[-1].strip()[:50]: text for text in reversed(problems)}
    return "\n".join(f"{number} x {first[sort]}" for sort, number in sorts.most_common(12))


FEW = [
    ("publication", "write", errno.ENOSPC, 3),
    ("publication", "fsync", errno.EIO, 5),
    ("publication", "open", errno.EMFILE, 17),
    ("names", "rename", errno.EIO, 2),
    ("gc", "read", errno.EIO, 6),
    ("gc", "unlink", errno.EIO, 5),
    ("repair", "open", errno.EMFILE, 19),
    ("pull", "write", errno.ENOSPC, 5),
    ("import", "mkdir", errno.ENOSPC, 4),
    ("export", "write", errno.ENOSPC, 1),
    ("push", "rename", errno.EIO, 4),
]


@pytest.mark.parametrize(("name", "kind", "code", "step"), FEW)
def test_some_calls_of_an_operation_may_fail(
    name: str, kind: str, code: int, step: int, tmp_path: Path
) -> None:
    count, problems = run(name, kind, code, tmp_path, step)
    assert count > 0
    assert not problems, told(problems)


@pytest.mark.slow
@pytest.mark.parametrize("name", SCENES)
def test_every_call_of_an_operation_may_fail(name: str, tmp_path: Path) -> None:
    total, problems = 0, []
    for kind, codes in KINDS.items():
        for code in codes:
            count, found = run(name, kind, code, tmp_path, 1)
            total += count
            problems += found
    print(f"{name}: {total} faults")  # noqa: T201 - the numbers in docs/testing.md
    assert total > 50
    assert not problems, told(problems)

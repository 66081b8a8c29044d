"""The operations of the store whose crash states are looked at, and what each of them promises.

A scene prepares a folder, acts in it (and says what it was told is done), and looks at any folder
in which the act was cut off. ``store/`` is the store; a remote is ``remote/``, an archive
``out/all.tar.gz``. Stores that only look or recover leave the flushing out.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_store import Entry, Recipe, Store, StoreError, UnknownReference
from tratree_store.archive import export, import_archive
from tratree_store.fsck import check, repair
from tratree_store.gc import collect
from tratree_store.objects import folder_of
from tratree_store.remote import pull, push

Say = Callable[[str], None]


def recipe(seed: int, **inputs: str) -> Recipe:
    """The recipe that all scenes use."""
    return Recipe("build-tree", 1, "tree", {"seed": seed}, inputs)


def publish(store: Store, seed: int, *, force: bool = False, **inputs: str) -> Entry:
    """Make and publish an artifact of three files, one in a folder of its own."""
    with store.build(recipe(seed, **inputs), force=force) as build:
        if build.entry is None:
            (build.path / "trees").mkdir()
            (build.path / "trees" / "0.json").write_text(f"tree {seed} " * 20)
            (build.path / "trees.json").write_text(f'{{"seed":{seed}}}')
            (build.path / "both.txt").write_text("the same in every artifact")
            build.publish({"nodes": seed})
    store.leases.release()
    assert build.entry is not None
    return build.entry


def opened(folder: Path, durable: bool = False) -> Store:
    """The store in ``folder``; warnings are not of interest."""
    return Store(folder / "store", durable=durable, on_warning=lambda _: None)


def unsound(folder: Path, where: str = "store") -> Iterator[str]:
    """What no crash may leave: an unclean store, or an artifact that is listed and not whole."""
    store = Store(folder / where, durable=False, on_warning=lambda _: None)
    for finding in check(store).findings:
        if finding.error:
            yield f"fsck of {where}: {finding.text}"
    for entry in store.entries():
        for problem in store.verify(entry):
            yield f"listed and not whole: {problem}"
        if store.find(Recipe.from_document(entry.document)) is None:
            yield f"listed and not found: {entry.ref[:20]}"
    store.leases.release()


def lost(folder: Path, *seeds: int, where: str = "store", **inputs: str) -> Iterator[str]:
    """Artifacts that must be there, by seed, and are not."""
    store = Store(folder / where, durable=False, on_warning=lambda _: None)
    for seed in seeds:
        entry = store.find(recipe(seed, **inputs))
        if entry is None:
            yield f"artifact {seed} is lost from {where}"
        elif store.verify(entry):
            yield f"artifact {seed} is damaged in {where}"
    store.leases.release()


def misnamed(folder: Path, **meanings: tuple[int | None, ...]) -> Iterator[str]:
    """Names that mean none of the seeds that they may mean (None: nothing)."""
    store = opened(folder)
    for name, seeds in meanings.items():
        try:
            now = store.refs.current(name)
        except StoreError as error:
            yield f"the name {name!r}: {error}"
            continue
        allowed = {recipe(seed).digest if seed is not None else None for seed in seeds}
        if (now.recipe if now else None) not in allowed:
            yield f"the name {name!r} means {now}, not one of {seeds}"


@dataclass(frozen=True)
class Scene:
    """An operation under power cuts.

    Attributes:
        prepare: makes the folder as it is before the operation, flushed.
        act: the operation, and afterwards the next run; says what is done.
        look: what is wrong with a folder in which it was cut off, given what had been said.
        everything: what ``act`` says when it is done.
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path, Say], None]
    look: Callable[[Path, frozenset[str]], Iterator[str]]
    everything: frozenset[str]


# -- publication ---------------------------------------------------------------------------


def _nothing(_: Path) -> None:
    pass


def _two_artifacts(folder: Path) -> None:
    store = opened(folder)
    store.name("kept", publish(store, 1))
    publish(store, 2)


def _publish(folder: Path, say: Say) -> None:
    publish(opened(folder, durable=True), 7)
    say("published")


def _look_at_publication(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from unsound(folder)
    if "published" in said:
        yield from lost(folder, 7)


def _look_at_addition(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from _look_at_publication(folder, said)
    yield from lost(folder, 1, 2)
    yield from misnamed(folder, kept=(1,))


def _broken_artifact(folder: Path) -> None:
    _two_artifacts(folder)
    store = opened(folder)
    path = publish(store, 7).path / "trees.json"
    path.chmod(0o644)
    path.write_text("broken")


def _look_at_replacement(folder: Path, said: frozenset[str]) -> Iterator[str]:
    # Until the good bytes are there the store is unclean, as it was before.
    if "published" in said:
        yield from _look_at_addition(folder, said)
    else:
        yield from lost(folder, 1, 2)


# -- names ---------------------------------------------------------------------------------


def _name(folder: Path, say: Say) -> None:
    store = opened(folder, durable=True)
    first, second = (store.find(recipe(seed)) for seed in (1, 2))
    store.leases.release()
    if first is None or second is None:
        raise StoreError("what is to be named cannot be read")
    store.name("fresh", first)
    say("fresh")
    store.name("kept", second)
    say("kept")
    store.name("kept", None)
    say("removed")


def _look_at_names(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from unsound(folder)
    yield from lost(folder, 1, 2)
    # A second run begins at the beginning, so what is said binds only where it was said last.
    kept: tuple[int | None, ...] = (1, 2, None)
    if "removed" in said:
        kept = (None,)
    elif "kept" in said:
        kept = (2, None)
    yield from misnamed(folder, fresh=(1,) if "fresh" in said else (1, None), kept=kept)


# -- collection and repair -----------------------------------------------------------------


def _needed_and_not(folder: Path) -> None:
    store = opened(folder)
    source = publish(store, 1)
    store.name("kept", publish(store, 2, rollouts=source.object))
    for seed in (3, 4):
        publish(store, seed)
    publish(store, 3, force=True)


def _collect(folder: Path, say: Say) -> None:
    collect(opened(folder, durable=True), younger_than=0)
    say("collected")


def _look_at_collection(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from unsound(folder)
    yield from lost(folder, 1)
    source = opened(folder).find(recipe(1))
    if source is not None:
        yield from lost(folder, 2, rollouts=source.object)


def _damaged(folder: Path) -> None:
    store = opened(folder)
    first, second, third = (publish(store, seed) for seed in (1, 2, 3))
    store.name("kept", first)
    store.name("falls", first)
    store.name("falls", second)
    broken = second.path / "trees.json"
    broken.chmod(0o644)
    broken.write_text("broken")
    record = next(store.records.glob(f"*/*/{third.object}.json"))
    record.chmod(0o644)
    record.write_bytes(record.read_bytes().replace(b"nodes", b"nodez"))
    (store.root / "objects" / "stray").write_text("stray")


def _repair(folder: Path, say: Say) -> None:
    warnings: list[str] = []
    store = Store(folder / "store", on_warning=warnings.append)
    report = check(store)
    told = [finding.text for finding in report.findings] + repair(store, report) + warnings
    if any("cannot be read" in text for text in told):
        raise StoreError(f"some of it has to be tried again: {told}")
    say("repaired")


def _look_at_repair(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from lost(folder, 1)
    yield from misnamed(folder, kept=(1,))
    if "repaired" in said:
        yield from unsound(folder)
        yield from misnamed(folder, falls=(1,))


# -- transport -----------------------------------------------------------------------------


def _something_to_send(folder: Path) -> None:
    store = opened(folder)
    source = publish(store, 1)
    store.name("kept", publish(store, 2, rollouts=source.object))
    (folder / "out").mkdir()


def _of_name(store: Store) -> Entry:
    entry = store.resolve("kept")
    store.leases.release()
    return entry


def _push(folder: Path, say: Say) -> None:
    store = opened(folder, durable=True)
    entry = _of_name(store)
    push(store, [entry], f"file://{folder}/remote", names={"kept": entry}, jobs=1)
    say("pushed")


def _look_at_push(folder: Path, said: frozenset[str]) -> Iterator[str]:
    """Whatever the remote answers to can be pulled whole."""
    yield from unsound(folder)
    for reference in ("kept", _of_name(opened(folder)).object):
        other = Store(folder / "other", durable=False, on_warning=lambda _: None)
        try:
            found, _ = pull(other, [reference], f"file://{folder}/remote", jobs=1)
            if other.verify(found[0]):
                yield f"{reference[:8]} came with other bytes"
            yield from unsound(folder, "other")
        except UnknownReference as error:
            if "pushed" in said:
                yield f"pushed and not there: {error}"
        except StoreError as error:
            yield f"half of it is on the remote: {error}"
        shutil.rmtree(folder / "other", ignore_errors=True)


def _remote_and_empty(folder: Path) -> None:
    _something_to_send(folder)
    _push(folder, lambda _: None)
    shutil.rmtree(folder / "store")


def _pull(folder: Path, say: Say) -> None:
    pull(opened(folder, durable=True), ["kept"], f"file://{folder}/remote", jobs=1)
    say("arrived")


def _archive_and_empty(folder: Path) -> None:
    _something_to_send(folder)
    _export(folder, lambda _: None)
    shutil.rmtree(folder / "store")


def _import(folder: Path, say: Say) -> None:
    import_archive(opened(folder, durable=True), folder / "out" / "all.tar.gz")
    say("arrived")


def _look_at_arrival(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from unsound(folder)
    if "arrived" in said:
        yield from lost(folder, 1)
        source = opened(folder).find(recipe(1))
        if source is not None:
            yield from lost(folder, 2, rollouts=source.object)


def _older_archive(folder: Path) -> None:
    _something_to_send(folder)
    (folder / "out" / "all.tar.gz").write_bytes(b"an older archive")


def _export(folder: Path, say: Say) -> None:
    store = opened(folder, durable=True)
    export(store, _of_name(store), folder / "out" / "all.tar.gz")
    say("exported")


def _look_at_export(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from unsound(folder)
    path = folder / "out" / "all.tar.gz"
    if "exported" not in said and (not path.exists() or path.read_bytes() == b"an older archive"):
        return
    if not path.exists():
        yield "exported and not there"
        return
    other = Store(folder / "other", durable=False, on_warning=lambda _: None)
    try:
        import_archive(other, path)
        yield from unsound(folder, "other")
    except StoreError as error:
        yield f"the archive is not whole: {error}"
    shutil.rmtree(folder / "other", ignore_errors=True)


def _removed_index(folder: Path) -> None:
    _two_artifacts(folder)
    for path in (folder / "store").glob("index.db*"):
        path.unlink()


def _reindex(folder: Path, say: Say) -> None:
    warnings: list[str] = []
    Store(folder / "store", on_warning=warnings.append).reindex()
    if warnings:
        raise StoreError(warnings[0])
    say("indexed")


def _look_at_index(folder: Path, said: frozenset[str]) -> Iterator[str]:
    yield from lost(folder, 1, 2)
    if "indexed" not in said:
        return
    yield from unsound(folder)
    listed = len(list(opened(folder).entries()))
    if listed != 2:
        yield f"{listed} artifacts are listed instead of 2"


def _scene(prepare: Any, act: Any, look: Any, *everything: str) -> Scene:
    return Scene(prepare, act, look, frozenset(everything))


SCENES: Mapping[str, Scene] = {
    "first publication": _scene(_nothing, _publish, _look_at_publication, "published"),
    "publication": _scene(_two_artifacts, _publish, _look_at_addition, "published"),
    "replacement": _scene(_broken_artifact, _publish, _look_at_replacement, "published"),
    "names": _scene(_two_artifacts, _name, _look_at_names, "fresh", "kept", "removed"),
    "gc": _scene(_needed_and_not, _collect, _look_at_collection, "collected"),
    "repair": _scene(_damaged, _repair, _look_at_repair, "repaired"),
    "push": _scene(_something_to_send, _push, _look_at_push, "pushed"),
    "pull": _scene(_remote_and_empty, _pull, _look_at_arrival, "arrived"),
    "import": _scene(_archive_and_empty, _import, _look_at_arrival, "arrived"),
    "export": _scene(_older_archive, _export, _look_at_export, "exported"),
    "reindex": _scene(_removed_index, _reindex, _look_at_index, "indexed"),
}


def is_tidy(folder: Path) -> Iterator[str]:
    """After the next run and a collection nothing of the dead process is left."""
    store = opened(folder)
    collect(store, younger_than=10**6)
    left = [path.name for path in store.tmp.iterdir()] if store.tmp.is_dir() else []
    left = [name for name in left if name.startswith(("build-", "trash-"))]
    if left:
        yield f"left in tmp: {left}"
    for entry in store.entries():
        if not folder_of(store.objects, entry.object).is_dir():
            yield f"gone: {entry.ref}"

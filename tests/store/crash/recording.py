"""What an operation does to the files of a folder, in order: names, contents, and what is flushed.

The functions of ``os`` that change names or flush are wrapped while an operation runs. Before each
of their calls the folder is compared with what is known of it, so contents need no wrapping: a
change of bytes counts as a write between the calls on both sides. Files are known by number and
names by folder, because after a power cut a file may be there without its name, and a name without
its content.

SQLite's own files count as flushed whenever they are seen: its commits are its own affair, and the
index is a cache. Lock files count as flushed too, for after a power cut nobody holds them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = 0
_HOOKED = ("rename", "replace", "unlink", "remove", "rmdir", "mkdir", "link", "fsync", "fdatasync")


@dataclass(frozen=True)
class Op:
    """One change.

    Attributes:
        kind: ``link`` (a name for a node), ``write``, ``rename``, ``unlink``, ``sync`` (of a node),
            ``said`` (the caller was told that something is done).
        node: number of the file or folder that is named, written or flushed.
        folder: number of the folder whose names change (of a rename: the one that gains a name).
        name: the name that comes (or goes, for ``unlink``).
        data: the whole new content, for ``write``.
        source: folder and name that a rename takes away.
        settled: durable at once (see the module's first lines).
        is_folder: whether a ``link`` names a new folder.
        text: what was said; for other kinds the path, for messages.
    """

    kind: str
    node: int = -1
    folder: int = -1
    name: str = ""
    data: bytes = b""
    source: tuple[int, str] = (-1, "")
    settled: bool = False
    is_folder: bool = False
    text: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.text}"


@dataclass
class Disk:
    """Files and folders by number: ``files[n]`` is content, ``folders[n]`` is name -> number."""

    files: dict[int, bytes] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})

    def copy(self) -> Disk:
        """A disk that can be changed on its own."""
        return Disk(dict(self.files), {n: dict(names) for n, names in self.folders.items()})

    def paths(self) -> dict[str, bytes | None]:
        """Everything that can be reached from the root: path -> content, None for a folder."""
        found: dict[str, bytes | None] = {}
        todo = [("", ROOT)]
        while todo:
            above, number = todo.pop()
            for name, node in self.folders[number].items():
                path = f"{above}{name}"
                if node in self.folders:
                    found[path] = None
                    todo.append((f"{path}/", node))
                else:
                    found[path] = self.files.get(node, b"")
        return found


class Recorder:
    """Records the operations below ``root`` while ``recording`` is open."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._disk = Disk()
        self._next = ROOT + 1
        self._lock = threading.RLock()
        self._real = {name: getattr(os, name) for name in _HOOKED}
        self.ops: list[Op] = []
        self._notice()
        self.base = self._disk.copy()
        self.ops.clear()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Wrap the functions of ``os`` inside the block."""
        for name in _HOOKED:
            setattr(os, name, self._wrapped(name))
        try:
            yield
        finally:
            for name, real in self._real.items():
                setattr(os, name, real)
        with self._lock:
            self._notice()

    def say(self, text: str) -> None:
        """Note that the caller was told so at this moment."""
        with self._lock:
            self._notice()
            self.ops.append(Op("said", text=text))

    def calls(self) -> list[str]:
        """The names that came, went or were flushed, as a system-call tracer would list them."""
        return [str(op) for op in self.ops if op.kind in ("rename", "unlink", "sync")]

    def _wrapped(self, name: str) -> Callable[..., Any]:
        real = self._real[name]

        def call(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self._notice()
                before = self._places(name, arguments, options)
                result = real(*arguments, **options)
                self._note(name, before)
                return result

        return call

    def _places(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> list[str]:
        """The paths of a call, relative to the root; "" for what lies elsewhere."""
        if name in ("fsync", "fdatasync"):
            return [self._relative(_path_of(arguments[0]))]
        folders = [options.get("src_dir_fd", options.get("dir_fd")), options.get("dst_dir_fd")]
        count = 2 if name in ("rename", "replace", "link") else 1
        found = []
        for path, handle in zip(arguments[:count], folders, strict=False):
            text = os.fsdecode(path)
            if handle is not None:
                text = f"{_path_of(handle)}/{text}"
            found.append(self._relative(os.path.abspath(text)))  # noqa: PTH100 - no resolving
        return found

    def _relative(self, path: str) -> str:
        inside = path.startswith(f"{self._root}/") and not path.endswith("-shm")
        return (
            path[len(str(self._root)) + 1 :] if inside else "" if path != str(self._root) else "."
        )

    def _find(self, path: str) -> tuple[int, str, int | None]:
        """Folder, name and node of a path that is known."""
        node = ROOT
        *above, name = path.split("/")
        for part in above:
            node = self._disk.folders[node][part]
        return node, name, self._disk.folders[node].get(name)

    def _note(self, call: str, places: list[str]) -> None:
        if call in ("fsync", "fdatasync"):
            if places[0] == ".":
                self.ops.append(Op("sync", ROOT, text="."))
            elif places[0]:
                node = self._find(places[0])[2]
                assert node is not None, f"{places[0]} was flushed and is not known"
                self.ops.append(Op("sync", node, text=places[0]))
        elif call in ("rename", "replace") and all(places):
            old_folder, old_name, node = self._find(places[0])
            assert node is not None
            folder, name, _ = self._find(places[1])
            self._do(
                Op("rename", node, folder, name, source=(old_folder, old_name), text=places[1])
            )
        elif call in ("unlink", "remove", "rmdir") and places[0]:
            folder, name, node = self._find(places[0])
            assert node is not None
            self._do(Op("unlink", node, folder, name, settled=_settled(places[0]), text=places[0]))
        elif call == "link" and all(places):
            node = self._find(places[0])[2]
            folder, name, _ = self._find(places[1])
            assert node is not None
            self._do(Op("link", node, folder, name, settled=_settled(places[1]), text=places[1]))
        else:
            self._notice()  # mkdir, and files that came from outside the folder or left it

    def _do(self, op: Op) -> None:
        self.ops.append(op)
        apply(self._disk, op)

    def _notice(self) -> None:
        """Record what is new since the last look: files, folders, contents, names that went."""
        todo = [("", ROOT)]
        while todo:
            above, number = todo.pop()
            known = self._disk.folders[number]
            here = {}
            with os.scandir(self._root / above) as entries:
                for entry in entries:
                    if not entry.name.endswith("-shm"):
                        here[entry.name] = entry.is_dir(follow_symlinks=False)
            for name in [name for name in known if name not in here]:
                path = f"{above}{name}"
                self._do(Op("unlink", known[name], number, name, settled=_settled(path), text=path))
            for name, is_folder in here.items():
                path = f"{above}{name}"
                node = known.get(name)
                if node is None:
                    node, self._next = self._next, self._next + 1
                    if is_folder:
                        self._disk.folders[node] = {}
                    op = Op("link", node, number, name, settled=_settled(path), text=path)
                    self._do(replace(op, is_folder=is_folder))
                if is_folder:
                    todo.append((f"{path}/", node))
                    continue
                try:
                    data = (self._root / path).read_bytes()
                except FileNotFoundError:  # SQLite's journal, between two looks
                    continue
                if self._disk.files.get(node, b"") != data:
                    self._do(Op("write", node, data=data, settled=_settled(path), text=path))


def _path_of(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").readlink())


def _settled(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return name.startswith("index.db") or folder.endswith("locks")


def apply(disk: Disk, op: Op) -> None:
    """Do ``op`` on a disk on which any earlier operation may be missing."""
    if op.kind == "write":
        disk.files[op.node] = op.data
    elif op.kind == "link":
        disk.folders[op.folder][op.name] = op.node
    elif op.kind == "rename":
        folder, name = op.source
        if disk.folders[folder].get(name) == op.node:
            del disk.folders[folder][name]
        disk.folders[op.folder][op.name] = op.node
    elif op.kind == "unlink" and disk.folders[op.folder].get(op.name) == op.node:
        del disk.folders[op.folder][op.name]

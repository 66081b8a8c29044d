"""A small store and quick ways to fill it; processes that can be killed at a named point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Entry, Recipe, Store

SOURCES = Path(__file__).resolve().parents[2] / "store"

Make = Callable[..., Entry]


@pytest.fixture
def warnings_seen() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, warnings_seen: list[str]) -> Store:
    return Store(tmp_path / "store", on_warning=warnings_seen.append)


@pytest.fixture
def make(store: Store) -> Make:
    """``make("tree", {"a.txt": "x"}, seed=1)`` publishes an artifact and lets go of it."""

    def make_one(
        kind: str = "tree",
        files: dict[str, str] | None = None,
        *,
        into: Store | None = None,
        stage: str | None = None,
        version: int = 1,
        inputs: dict[str, Any] | None = None,
        templates: dict[str, str] | None = None,
        summary: dict[str, Any] | None = None,
        provenance: dict[str, Any] | None = None,
        force: bool = False,
        seconds: float = 1.0,
        **params: Any,
    ) -> Entry:
        target = into or store
        recipe = Recipe(
            stage or f"make-{kind}", version, kind, params, inputs or {}, templates or {}
        )
        with target.build(recipe, force=force) as build:
            if build.entry is None:
                for name, text in (
                    files or {"data.txt": f"{kind} {sorted(params.items())}"}
                ).items():
                    path = build.path / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
                build.publish(summary or {}, provenance or {}, seconds)
        target.leases.release()
        assert build.entry is not None
        return build.entry

    return make_one


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a Python process with the store's library on its path."""

    def start(code: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(SOURCES), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
        )

    return start


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``full_disk("ext4")`` mounts a small file system of that kind; skips where it may not."""
    mounted: list[Path] = []

    def mount(kind: str) -> Path:
        folder = tmp_path / f"small-{kind}"
        folder.mkdir()
        if kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", "size=2m,nr_inodes=400", "tmpfs", str(folder)]
        else:
            image = tmp_path / f"{kind}.img"
            with image.open("wb") as stream:
                stream.truncate(8 << 20)
            maker = shutil.which(f"mkfs.{kind}")
            if maker is None:
                pytest.skip(f"there is no mkfs.{kind}")
            subprocess.run([maker, "-q", "-N", "400", str(image)], check=True)
            command = ["mount", "-o", "loop", str(image), str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip(f"mounting a small {kind} needs privileges that are not here")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def flip(path: Path, offset: int = -1) -> None:
    """Change one byte of a file, as a bad disk would."""
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[offset % len(data)] ^= 0x01
    path.write_bytes(bytes(data))

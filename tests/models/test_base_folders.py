"""Where base models' folders lie: remembered by digest, outside of every artifact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tratree_cli.errors import InputError
from tratree_cli.models.base_folders import remember, remembered
from tratree_cli.models.load import adapter_base, resolve_base

DIGEST = f"sha256:{'a' * 64}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRATREE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def model(folder: Path, words: str = "{}") -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(words)
    return folder


def adapter(folder: Path, **base: str) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "base.json").write_text(json.dumps(base))
    return folder


def test_a_folder_is_found_where_it_was_named_last(tmp_path: Path) -> None:
    assert remembered(DIGEST) is None
    one, two = model(tmp_path / "one"), model(tmp_path / "two")
    remember(DIGEST, one)
    remember(DIGEST, two)
    assert remembered(DIGEST) == two
    (two / "config.json").unlink()
    two.rmdir()
    assert remembered(DIGEST) is None


def test_a_cache_that_cannot_be_written_changes_nothing(cache: Path, tmp_path: Path) -> None:
    cache.write_text("a file where the folder should be")
    remember(DIGEST, tmp_path)
    assert remembered(DIGEST) is None


def test_an_adapter_finds_its_base_by_digest(tmp_path: Path) -> None:
    folder = model(tmp_path / "models" / "base")
    identity = resolve_base(str(folder)).identity
    found = adapter_base(adapter(tmp_path / "adapter", name="base", identity=identity))
    assert (found.folder, found.identity) == (folder, identity)


def test_an_artifact_of_an_earlier_version_that_holds_a_path_still_opens(tmp_path: Path) -> None:
    folder = model(tmp_path / "models" / "base")
    identity = resolve_base(str(folder)).identity
    kept = adapter(tmp_path / "adapter", name=str(folder), identity=identity)
    assert adapter_base(kept).folder == folder
    moved = folder.rename(tmp_path / "moved")
    assert resolve_base(str(moved)).identity == identity
    assert adapter_base(kept).folder == moved


def test_a_base_that_changed_is_not_taken_for_the_one_it_was(tmp_path: Path) -> None:
    folder = model(tmp_path / "models" / "base")
    identity = resolve_base(str(folder)).identity
    (folder / "config.json").write_text('{"other": 1}')
    with pytest.raises(InputError, match="restore the base model it was trained on"):
        adapter_base(adapter(tmp_path / "adapter", name="base", identity=identity))


def test_a_base_that_nobody_named_here_is_told_in_a_sentence(tmp_path: Path) -> None:
    unknown = adapter(tmp_path / "adapter", name="base", identity=DIGEST)
    with pytest.raises(InputError, match=r"'base' \(sha256:aaaa.*name its folder once"):
        adapter_base(unknown)

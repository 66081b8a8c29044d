"""A small zstd file that stands for gigabytes costs neither memory nor patience."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import zstandard

from tratree_cli.agents.shard_files import decode_shard
from tratree_cli.errors import InputError
from tratree_cli.formats import compressed, record_files
from tratree_cli.formats.importing import guess_format
from tratree_cli.formats.rollouts import read_jsonl


def bomb(path: Path, line: bytes, mebibytes: int) -> Path:
    """A zstd file that unpacks to ``line`` again and again."""
    frame = zstandard.ZstdCompressor().compress(line * ((1 << 20) // len(line)))
    path.write_bytes(frame * mebibytes)
    return path


READ = """
import resource, sys
from pathlib import Path
from tratree_cli.formats.importing import import_trajectories
from tratree_cli.errors import InputError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (300 << 20), -1))
try:
    import_trajectories(Path(sys.argv[1]), "jsonl", on_error="skip")
except InputError as error:
    print(error)
"""
"""Imports a file in a process that may have 300 MiB beside what it has already."""


@pytest.mark.parametrize("line", [b"a", b"[", b'{"messages": "%s"}\n' % (b"x" * 9000)])
def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path, line: bytes) -> None:
    path = bomb(tmp_path / "a.jsonl.zst", line, 1024)
    assert path.stat().st_size < 300_000
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False
    )
    assert "unpacks to more than 64 MiB" in done.stdout, done.stderr


def test_one_long_line_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "LINE_BYTES", 1000)
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + b"x" * 2000)
    with pytest.raises(InputError, match=r"line 2 is longer than"):
        list(compressed.numbered_lines(path, compressed=False, longest=1000))


def test_a_list_too_large_to_be_read_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "LIST_BYTES", 1000)
    (tmp_path / "a.json").write_bytes(b"[\n" + b"1,\n" * 1000 + b"1]")
    with pytest.raises(InputError, match="JSON list of more than"):
        guess_format(tmp_path / "a.json")


def test_a_list_on_one_line_may_be_longer_than_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "LINE_BYTES", 10)
    (tmp_path / "a.json").write_bytes(b' \n[{"messages": []}, {"messages": []}]')
    assert guess_format(tmp_path / "a.json") == "jsonl"


def test_artifacts_are_read_within_the_same_limits(tmp_path: Path) -> None:
    path = bomb(tmp_path / "texts.jsonl.zst", b"a", 100)
    with pytest.raises(InputError, match="unpacks to more than 64 MiB"):
        list(read_jsonl(path))


@pytest.mark.parametrize("declared", [True, False])
def test_a_shard_that_stands_for_too_much_is_played_again(
    declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "SMALL", 1 << 20)
    compressor = zstandard.ZstdCompressor(3, write_content_size=declared)
    assert decode_shard(compressor.compress(b"\0" * (64 << 20)), "key") is None


def test_the_first_byte_may_lie_in_the_second_frame(tmp_path: Path) -> None:
    packed = zstandard.ZstdCompressor().compress
    (tmp_path / "a.zst").write_bytes(packed(b" \n") + packed(b"[1]"))
    assert compressed.first_byte(tmp_path / "a.zst", compressed=True) == b"["


@pytest.mark.parametrize(("content", "first"), [(b" \n\t[1]", b"["), (b"", b""), (b"  ", b"")])
def test_the_first_byte_is_the_first_that_is_no_space(
    content: bytes, first: bytes, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_bytes(content)
    (tmp_path / "packed").write_bytes(zstandard.ZstdCompressor().compress(content))
    assert compressed.first_byte(tmp_path / "plain", compressed=False) == first
    assert compressed.first_byte(tmp_path / "packed", compressed=True) == first


def test_a_decompressor_that_wants_too_much_memory_gets_none(tmp_path: Path) -> None:
    # A frame header that asks for a window of 2 GiB, in front of an empty block.
    (tmp_path / "a.zst").write_bytes(bytes.fromhex("28b52ffd00a8010000"))
    with pytest.raises(InputError, match="not a whole zstd file"):
        list(read_jsonl(tmp_path / "a.zst"))

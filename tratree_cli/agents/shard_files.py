"""Finished shards as files: whole or absent, whatever is killed when.

A file is zstd-compressed JSON lines: a header with the shard's key and the sha256 of the rest, then
one line per episode. It is written beside its place, flushed to the disk and
renamed, and what is read is checked against the header, so a torn or flipped file is a shard that
has to be played again and never a wrong result.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import zstandard

from tratree_cli.agents.played import PlayedEpisode, episode_from
from tratree_cli.agents.sampling_plan import Shard
from tratree_cli.formats.compressed import TooLargeError, unpacked
from tratree_cli.formats.rollouts import json_lines

FORMAT = 2
"""Version of the files; those of another version are played again."""


def encode_shard(key: str, episodes: Sequence[PlayedEpisode]) -> bytes:
    """The bytes of a shard file; equal episodes give equal bytes."""
    body = json_lines(episodes)
    header = orjson.dumps(_header(key, body))
    return zstandard.ZstdCompressor(level=3, write_checksum=True).compress(header + b"\n" + body)


def decode_shard(data: bytes, key: str) -> list[PlayedEpisode] | None:
    """The episodes of a shard file, or None if it does not match its header."""
    try:
        header, _, body = unpacked(data).partition(b"\n")
        if orjson.loads(header) != _header(key, body):
            return None
        return [episode_from(orjson.loads(line)) for line in body.splitlines()]
    except (zstandard.ZstdError, TooLargeError, orjson.JSONDecodeError):
        return None


def _header(key: str, body: bytes) -> dict[str, object]:
    return {"format": FORMAT, "shard": key, "sha256": hashlib.sha256(body).hexdigest()}


class ShardFolder:
    """The finished shards of any number of runs that share a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key}.shard.zst"

    def read(self, shard: Shard) -> list[PlayedEpisode] | None:
        """A finished shard; None if it is not there or damaged (a damaged file is removed).

        Source and setting are numbered as in the plan of ``shard``: the plan that made the file may
        have listed its policies and settings in another order.
        """
        path = self.path(shard)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        episodes = decode_shard(data, shard.key)
        if episodes is None or len(episodes) != len(shard.requests):
            path.unlink(missing_ok=True)
            return None
        return [replace(e, source=shard.source, setting=shard.setting) for e in episodes]

    def write(self, shard: Shard, data: bytes) -> None:
        """Publish a shard's bytes durably and all at once; two writers of one shard agree."""
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.path(shard)
        beside = place.with_name(f".{place.name}.{uuid.uuid4().hex}")
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            # Missing: another writer of this shard was faster and cleaned up, see below.
            with contextlib.suppress(FileNotFoundError):
                beside.replace(place)
        finally:
            beside.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            _sync_folder(self.folder)
        for torn in self.folder.glob(f".{place.name}.*"):
            torn.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename durable (a power loss does not undo it)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

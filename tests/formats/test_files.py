"""The files of artifacts: readable heads, lines by number, and the sizes that are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import zstandard

from tests.trees.making import SHOP, made_rollouts
from tratree_cli.errors import InputError
from tratree_cli.formats import compressed, record_files
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.merging import Shift
from tratree_cli.formats.pairs import render_pairs, write_pairs
from tratree_cli.formats.paths import PathFile, read_paths, render_paths, write_paths
from tratree_cli.formats.rollouts import (
    TRAJECTORIES,
    conversation,
    read_jsonl,
    write_jsonl,
    write_lines,
    write_rollouts,
)
from tratree_cli.formats.streaming import blocks
from tratree_cli.formats.trees import write_tree
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.pairs import Pair, PairSet

NO_SHIFT = Shift(None, 0, 0)


def test_every_artifact_has_a_head_that_people_can_read(tmp_path: Path) -> None:
    forest = build_forest(columns_from_rollouts(SHOP))
    for name in ("rollouts", "tree", "pairs", "paths"):
        (tmp_path / name).mkdir()
    write_rollouts(SHOP, tmp_path / "rollouts")
    write_tree(forest, tmp_path / "tree")
    write_pairs(render_pairs(mine(forest), SHOP), tmp_path / "pairs", {"b": 1, "a": {"d": 1}})
    write_paths(render_paths(forest, SHOP)[0], tmp_path / "paths", {"b": 1, "a": {"d": 1}})
    heads = list(tmp_path.glob("*/*.json"))
    assert len(heads) == 4
    for head in heads:
        text = head.read_text("utf-8")
        assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False)


def test_a_file_without_paths_has_no_messages_of_a_prompt() -> None:
    assert PathFile([]).prefix == 0


def test_a_file_of_one_path_has_the_messages_of_its_prompt() -> None:
    records, _ = render_paths(build_forest(columns_from_rollouts(SHOP)), SHOP)
    assert PathFile(records[:1]).prefix == len(SHOP.prompt["messages"]) == 2


def test_a_path_that_is_none_is_named_by_its_line(tmp_path: Path) -> None:
    records, _ = render_paths(build_forest(columns_from_rollouts(SHOP)), SHOP)
    write_paths(records, tmp_path)
    lines = list(read_jsonl(next(tmp_path.glob("*.zst"))))
    write_jsonl(next(tmp_path.glob("*.zst")), [*lines, {"task": "x"}])
    with pytest.raises(InputError, match=f"line {len(lines) + 1} is not a path"):
        read_paths(tmp_path)


@pytest.mark.parametrize("damaged", [1, 6])
@pytest.mark.parametrize("size", [1, 700])
def test_a_damaged_line_is_named_by_its_number_whatever_block_it_is_in(
    tmp_path: Path, size: int, damaged: int
) -> None:
    write_rollouts(SHOP, tmp_path)
    lines = zstandard.ZstdDecompressor().decompressobj().decompress(
        (tmp_path / TRAJECTORIES).read_bytes()
    ).splitlines(keepends=True)  # fmt: skip
    lines[damaged - 1] = b"{\n"
    (tmp_path / TRAJECTORIES).write_bytes(zstandard.ZstdCompressor().compress(b"".join(lines)))
    pieces = list(blocks(tmp_path, NO_SHIFT, size))
    assert [line for piece in pieces for line in piece.lines] == lines
    assert len(pieces) > 1
    with pytest.raises(InputError, match=f"line {damaged} is not JSON"):
        for piece in pieces:
            piece.move()


def test_a_block_ends_with_the_line_that_fills_it(tmp_path: Path) -> None:
    write_jsonl(tmp_path / TRAJECTORIES, ["a" * 7, "b" * 7, "c"])  # lines of 10, 10 and 4 bytes
    sizes = [len(b.lines) for size in (10, 11, 20, 21) for b in blocks(tmp_path, NO_SHIFT, size)]
    assert sizes == [1, 1, 1, 2, 1, 2, 1, 3]


def test_a_compressed_file_may_stand_for_64_mib_or_for_200_times_its_size() -> None:
    assert compressed.most_bytes(10) == 64 << 20
    assert compressed.most_bytes(1 << 20) == 200 << 20


def test_the_limits_are_those_that_the_page_on_security_names() -> None:
    text = " ".join((Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8").split())
    assert f"at most {compressed.LINE_BYTES >> 20} MiB a line" in text
    assert f"{compressed.RATIO} bytes for one of the file" in text
    assert f"(or {compressed.SMALL >> 20} MiB in all)" in text
    assert f"{compressed.WINDOW_BYTES >> 20} MiB for the decompressor" in text
    assert f"a JSON list at most {record_files.LIST_BYTES >> 20} MiB" in text


def test_a_file_that_unpacks_to_what_it_may_is_read_and_one_byte_more_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compressed, "SMALL", 1000)
    monkeypatch.setattr(compressed, "RATIO", 1)
    for size in (999, 1000):
        data = zstandard.ZstdCompressor().compress(b"x" * size)
        (tmp_path / "a.zst").write_bytes(data)
        assert len(compressed.unpacked(data)) == size
        ((number, line),) = compressed.numbered_lines(tmp_path / "a.zst", compressed=True)
        assert (number, len(line)) == (1, size)
    data = zstandard.ZstdCompressor().compress(b"x" * 1001)
    (tmp_path / "a.zst").write_bytes(data)
    with pytest.raises(compressed.TooLargeError):
        compressed.unpacked(data)
    with pytest.raises(InputError, match="unpacks to more than"):
        list(compressed.numbered_lines(tmp_path / "a.zst", compressed=True))


@pytest.mark.parametrize("packed", [False, True])
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "a"
    for line, fits in ((b"x" * 99 + b"\n", True), (b"x" * 100 + b"\n", False)):
        data = b"1\n" + line + b"2\n"
        path.write_bytes(zstandard.ZstdCompressor().compress(data) if packed else data)
        if fits:
            read = list(compressed.numbered_lines(path, packed, longest=100))
            assert read == [(1, b"1\n"), (2, line), (3, b"2\n")]
        else:
            with pytest.raises(InputError, match="line 2 is longer than"):
                list(compressed.numbered_lines(path, packed, longest=100))


def test_a_file_of_several_frames_is_read_to_its_end(tmp_path: Path) -> None:
    pack = zstandard.ZstdCompressor().compress
    (tmp_path / "a.zst").write_bytes(pack(b"1\n") + pack(b"2\n3\n"))
    assert list(read_jsonl(tmp_path / "a.zst")) == [1, 2, 3]
    assert compressed.unpacked(pack(b"1\n") + pack(b"2\n")) == b"1\n2\n"


def test_a_list_may_be_as_large_as_the_limit_and_no_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_files, "LIST_BYTES", 10)
    path = tmp_path / "a.json"
    for listed, fits in (("[1,\n22,33]", True), ("[1,\n22,333]", False)):
        path.write_text(listed)
        if fits:
            assert [record for _, record in record_files.records(path)] == [1, 22, 33]
        else:
            with pytest.raises(InputError, match="JSON list of more than"):
                list(record_files.records(path))


@pytest.mark.parametrize("turned_down", [0, 1])
def test_a_mirror_pair_turns_down_an_earlier_turn_of_its_own_trajectory(turned_down: int) -> None:
    steps = [("home", "look"), ("list", "open"), ("item", "buy")]
    rollouts = made_rollouts([("t", [("home", "leave")], 0.0), ("t", steps, 1.0)])
    pair = Pair(
        0, 2, 1, 1, 1.0, 1.0, 2, 0, horizon=1, basis="mirror", rejected_step=turned_down
    )  # fmt: skip
    (record,) = render_pairs(PairSet([pair]), rollouts)
    assert [message["content"] for message in record.chosen] == ["Action: buy"]
    said = ("look", "open")[turned_down]
    assert [message["content"] for message in record.rejected] == [f"Action: {said}"]
    assert record.prompt[-1]["content"] == "item"
    assert (record.basis, record.rejected_step, record.rejected_visits) == (
        "mirror", turned_down, 0,
    )  # fmt: skip


def test_lines_are_one_frame_of_level_three_however_they_were_handed_over(tmp_path: Path) -> None:
    lines = [b"%d,%d,%d\n" % (n, n * n % 977, n % 13) for n in range(5000)]
    for name, pieces in (
        ("a", lines),
        ("b", [b"".join(lines)]),
        ("c", [b"".join(lines[:7]), *lines[7:]]),
    ):
        write_lines(tmp_path / name, pieces)
    packed = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(packed) == 1
    wanted = zstandard.ZstdCompressor(level=3).compressobj()
    assert packed == {wanted.compress(b"".join(lines)) + wanted.flush()}


def test_the_messages_of_a_path_are_those_of_its_recorded_trajectory() -> None:
    records, _ = render_paths(build_forest(columns_from_rollouts(SHOP)), SHOP)
    prefix = SHOP.prompt["messages"]
    for record in records:
        recorded = conversation(SHOP, SHOP.trajectories[record.trajectory], prefix)
        assert list(record.messages) == recorded
        assert recorded[record.prefix]["content"] == "home"

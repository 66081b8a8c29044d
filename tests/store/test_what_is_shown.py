"""How differences, reasons, holders and lineages are put into words; what is read of odd files."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from tratree_store import Recipe, Store
from tratree_store.copying import copy_file
from tratree_store.differences import ABSENT, Change, changes, compare, show
from tratree_store.holders import Holder, alive, myself, read_holder, start_of
from tratree_store.index_file import is_file, open_to_read
from tratree_store.leftovers import age, leftovers, newest
from tratree_store.secrecy import secrets_of, without_secrets
from tratree_store.why import Reason

from .conftest import Make


def test_a_value_is_shown_in_at_most_sixty_characters() -> None:
    assert show("x" * 60) == "x" * 60
    assert show("x" * 61) == "x" * 57 + "…"
    assert show({"b": 1.0, "a": [True, None, "é"]}) == '{"a": [true, null, "é"], "b": 1.0}'
    assert show(ABSENT) == "(absent)"


def test_two_values_differ_leaf_by_leaf_and_by_type() -> None:
    before = {"a": 1, "b": {"c": 1, "d": [1]}, "gone": None, "same": {"x": 1}}
    after = {"a": 1.0, "b": {"c": 2, "d": [1, 2]}, "new": True, "same": {"x": 1}}
    assert [change.as_json() for change in changes(before, after)] == [
        {"field": "a", "before": 1, "after": 1.0},
        {"field": "b.c", "before": 1, "after": 2},
        {"field": "b.d", "before": [1], "after": [1, 2]},
        {"field": "gone", "before": None},
        {"field": "new", "after": True},
    ]
    assert str(Change("a", 1, ABSENT)) == "a: 1 → (absent)"
    assert [change.field for change in changes({"k": True}, {"k": 1}, "meta.json")] == [
        "meta.json.k"
    ]


def test_two_artifacts_are_compared_by_files_and_by_the_leaves_of_small_json(
    store: Store, make: Make
) -> None:
    big = '{"a": %s1}'
    files = {"a.json": '{"n": 1}', "b.txt": "x", "c.json": "no json", "big.json": big % ""}
    one = make("tree", files, seed=1)
    changed = {
        "a.json": '{"n": 2}', "b.txt": "y", "c.json": "none", "big.json": big % (" " * (4 << 20)),
        "new.json": "{}",
    }  # fmt: skip
    other = make("tree", changed, seed=2)
    found = compare(store.objects, one, other)
    assert not found.same_content
    assert [change.field for change in found.files] == sorted(changed)
    assert [change.as_json() for change in found.contents] == [
        {"field": "a.json.n", "before": 1, "after": 2}
    ]
    assert str(found.files[-1]).startswith("new.json: (absent) → ")
    assert str(found.files[-1]).endswith(" (2 bytes)")
    assert [str(change) for change in found.recipe] == ["params.seed: 1 → 2"]
    assert compare(store.objects, one, one).same_content


def test_a_json_file_of_four_mebibytes_is_compared_and_a_larger_one_is_not(
    store: Store, make: Make
) -> None:
    def of_size(value: int, size: int) -> str:
        text = json.dumps({"a": value})
        return text + " " * (size - len(text))

    for size, compared in ((4 << 20, 1), ((4 << 20) + 1, 0)):
        one = make("tree", {"a.json": of_size(1, size)}, seed=1, size=size)
        other = make("tree", {"a.json": of_size(2, size)}, seed=2, size=size)
        assert len(compare(store.objects, one, other).contents) == compared


def test_reasons_are_indented_by_what_lies_behind_them_and_read_back() -> None:
    reason = Reason("changed", "a", (Reason("input", "b", (Reason("field", "c"),)),), "tree:1")
    assert list(reason.lines()) == ["a", "  b", "    c"]
    assert Reason.from_json(json.loads(json.dumps(reason.as_json()))) == reason
    assert Reason.from_json({}) == Reason("unknown", "no reason was kept")


def test_a_long_list_of_inputs_is_cut_after_four(store: Store, make: Make) -> None:
    objects = [make("rollouts", seed=seed).object for seed in range(6)]
    make("tree", inputs={"rollouts": objects[:1]})
    four = Recipe("make-tree", 1, "tree", {}, {"demos": objects[:4]})
    five = Recipe("make-tree", 1, "tree", {}, {"demos": objects[:5]})
    shorts = [digest[:12] for digest in objects]
    for recipe, said in ((four, ", ".join(shorts[:4])), (five, ", ".join(shorts[:4]) + " …")):
        texts = [line.strip() for line in store.reasons(recipe).lines()]
        assert f"input demos changed: (absent) → {said}" in texts


def test_a_holder_is_read_back_and_anything_odd_is_nobody(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    mine = myself(["tree:1"])
    path.write_text(json.dumps(asdict(mine)))
    assert read_holder(path) == mine
    assert alive(mine)
    odd: list[dict[str, Any]] = [
        {"pid": 0}, {"pid": 1 << 31}, {"pid": True}, {"since": -1.0}, {"since": 1e11},
        {"since": "now"}, {"host": 1}, {"command": None}, {"started": 1}, {"needs": [1]},
        {"more": 1},
    ]  # fmt: skip
    for change in odd:
        path.write_text(json.dumps({**asdict(mine), **change}))
        assert read_holder(path) is None, change
    for change in ({"pid": 1}, {"pid": (1 << 31) - 1}, {"since": 0}):
        path.write_text(json.dumps({**asdict(mine), **change}))
        assert read_holder(path) == replace(mine, **change)  # type: ignore[arg-type]


def test_a_process_id_that_is_used_again_is_another_process() -> None:
    mine = myself()
    assert mine.started == start_of(os.getpid()) != start_of(1)
    assert not alive(replace(mine, started="another boot:1"))
    assert alive(replace(mine, started=""))
    assert not alive(Holder((1 << 31) - 1, mine.host, "x", 0.0))
    assert start_of((1 << 31) - 1) == ""


def test_a_holder_is_shown_with_process_host_time_and_command() -> None:
    since = time.mktime((2026, 5, 4, 13, 2, 1, 0, 0, -1))
    shown = str(Holder(12, "desk", "tratree sft", since))
    assert shown == "process 12 on desk since 13:02:01 (tratree sft)"


def test_working_folders_and_arrivals_without_a_holder_are_left_alone_for_an_hour(
    store: Store,
) -> None:
    store.prepare()
    now = time.time()
    paths = [store.tmp / "draft", store.root / "incoming" / "abc.part"]
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    for old, found in ((3590, []), (3610, paths)):
        for path in paths:
            os.utime(path, (now - old, now - old))
        assert sorted(leftovers(store, now, 0.0)) == sorted(found)
        assert leftovers(store, now, 1e6) == []
    border = int(now)
    for path in paths:
        os.utime(path, (border, border))
    assert leftovers(store, border + 3600.0, 0.0) == []
    assert leftovers(store, border + 3600.5, 0.0) == paths
    (store.tmp / "trash-x").mkdir()
    assert leftovers(store, now, 1e6) == [store.tmp / "trash-x"]


def test_a_folder_is_as_young_as_its_youngest_file(tmp_path: Path) -> None:
    folder = tmp_path / "partial"
    (folder / "deep").mkdir(parents=True)
    for name, old in (("a", 50), ("deep/b", 30)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (1000 - old, 1000 - old))
    for path in (folder, folder / "deep"):
        os.utime(path, (900, 900))
    assert newest(folder, 1000.0) == 30.0
    assert age(folder, 1000.0) == 100.0
    os.utime(folder / "deep", (990, 990))
    assert newest(folder, 1000.0) == 10.0
    assert age(tmp_path / "missing", 1000.0) == 0.0


def test_a_copied_file_cannot_be_changed_by_accident_however_it_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    source.chmod(0o444)
    assert copy_file(source, tmp_path / "new" / "one") in ("reflink", "link")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    assert copy_file(source, tmp_path / "new" / "two") in ("reflink", "copy")
    for name in ("one", "two"):
        assert (tmp_path / "new" / name).read_bytes() == b"content"
        assert (tmp_path / "new" / name).stat().st_mode & 0o777 == 0o444


@pytest.mark.parametrize("name", ["50%25", "what?mode=rwc", "a#b", "é"])
def test_a_store_may_lie_in_a_folder_of_any_name(tmp_path: Path, make: Make, name: str) -> None:
    store = Store(tmp_path / name / "store")
    entry = make("tree", into=store)
    again = Store(store.root)
    assert [found.object for found in again.entries()] == [entry.object]
    connection = open_to_read(store.index.path)
    assert connection is not None
    connection.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_a_plain_file_is_opened_as_an_index(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"")
    assert is_file(tmp_path / "file")
    for odd in (tmp_path / "fifo", tmp_path, tmp_path / "missing"):
        assert not is_file(odd)
        assert open_to_read(odd) is None


def test_secrets_of_a_url_are_named_in_every_form_longest_first() -> None:
    url = "s3://anna:p%40ss%2Fword@host/a?X-Signature=abc%3D&part=1"
    found = secrets_of(url)
    assert found == sorted(found, key=len, reverse=True)
    assert {"anna", "p@ss/word", "p%40ss%2Fword", "abc=", "abc%3D"} <= set(found)
    assert not {"", "1", "part"} & set(found)
    assert without_secrets(f"pull {url}") == "pull s3://***@host/a?X-Signature=***&part=1"
    assert without_secrets("http://host:8080/a@b") == "http://host:8080/a@b"


def test_a_lineage_is_drawn_with_what_is_missing(store: Store, make: Make) -> None:
    demos = make("demos")
    model = make("model", inputs={"demos": demos.object, 'a "role"': "e" * 64})
    graph = store.lineage([model])
    ids = {entry.kind: node for node, entry in graph.entries.items()}
    assert list(graph.entries.values()) == [demos, model]
    assert graph.missing == {"m" + "e" * 24: "e" * 64}
    assert graph.label("m" + "e" * 24) == "e" * 12 + " (not in the store)"
    assert graph.label(ids["demos"]) == f"make-demos demos:{demos.object[:12]}"
    assert {(e.source, e.role) for e in graph.inputs_of(ids["model"])} == {
        (ids["demos"], "demos"),
        ("m" + "e" * 24, 'a "role"'),
    }
    for drawn in (graph.mermaid(), graph.dot()):
        assert drawn.count(ids["demos"]) == 2 and "a  role " in drawn
    assert graph.as_json()[1]["inputs"] == {'a "role"': ["e" * 64], "demos": [demos.object]}

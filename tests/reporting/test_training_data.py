"""What the data behind policies were made of, and what policies inherit, from a real store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tratree_store import Entry, Store

from tests.command_line import Folder
from tests.reporting.conftest import evaluated
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.rows import EvaluationRow, RowLineage
from tratree_cli.reporting.tables import inherited, training_data


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


def made(tratree: Folder, *words: str) -> Entry:
    answer = tratree(*words)
    assert answer.code == 0, answer.err
    return Store(tratree.path / ".tratree").resolve(answer.out.strip())


def learnt(method: str, played: Entry, **data: Entry) -> EvaluationRow:
    """The row of a policy that was trained on ``data``, by role, and evaluated in ``played``."""
    policy: Any = SimpleNamespace(
        recipe=f"{method} policy",
        kind="model",
        stage="train-strong",
        document={},
        inputs={role: [entry.object] for role, entry in data.items()},
        provenance={"inputs": {role: [entry.recipe] for role, entry in data.items()}},
        summary={},
    )
    return replace(evaluated(method, [1.0]), lineage=RowLineage(method, played, policy))


@pytest.fixture
def report(tratree: Folder) -> ReportData:
    """Paths and pairs of a misaligned exploration, as two methods learnt from them."""
    flags = ("--limit", "12", "-m", "3")
    rollouts = made(tratree, "explore", "--policy", "misaligned:ignore-option:0.5", *flags)
    tree = made(tratree, "build-tree", rollouts.ref)
    pairs = made(tratree, "mine-pairs", tree.ref)
    paths = made(tratree, "mcts", tree.ref, "--set", "mcts.min_score=0")
    played = made(tratree, "eval", "--policy", "expert", "--split", "dev", "--limit", "6")
    rows = (
        learnt("tree-dpo", played, pairs=pairs),
        learnt("mcts", played, paths=paths),
        learnt("sft-more", played, demos=rollouts, **{ONLY_COUNTED: paths}),
    )
    return ReportData(rows, store=Store(tratree.path / ".tratree"))


def test_each_side_of_the_data_is_told_by_what_came_of_its_trajectories(report: ReportData) -> None:
    table = training_data.table(report)
    assert table is not None
    titles = [column.title for column in table.columns]
    assert titles[3:6] == ["Success", "Near miss", "Low score"]
    rows = {(row.cells[0].value, row.cells[1].value): row.cells for row in table.rows}
    read = {cells[2].value for (_, side), cells in rows.items() if side == "imitated"}
    assert read == {12, 36}, "a control's length is no data of it"
    assert {side for _, side in rows} == {"chosen", "rejected", "imitated"}
    for cells in rows.values():
        assert sum(cell.value for cell in cells[3:]) == pytest.approx(100)
    chosen, rejected = (
        next(cells for (_, side), cells in rows.items() if side == name)
        for name in ("chosen", "rejected")
    )
    assert chosen[3].value > rejected[3].value
    assert chosen[2].value == rejected[2].value


def test_what_is_inherited_is_told_of_the_explorer_and_of_every_policy(report: ReportData) -> None:
    (table,) = inherited.tables(report)
    rows = {row.cells[0].value: row.cells for row in table.rows}  # type: ignore[union-attr]
    misled = rows["misaligned:ignore-option:0.5"]
    assert 20 < misled[2].value < 80
    assert misled[3].value < misled[4].value, "an ignored option costs reward"
    assert [cells[2].value for name, cells in rows.items() if not name.startswith("mis")] == [
        0,
        0,
        0,
    ]
    assert "leaves out the first option" in table.notes[0]  # type: ignore[union-attr]


def test_there_is_no_table_without_a_store_or_a_misleading_policy(report: ReportData) -> None:
    bare = ReportData(report.rows)
    assert training_data.table(bare) is None
    assert inherited.tables(bare) == ()
    alone = ReportData((evaluated("sft-strong", [1.0]),), store=report.store)
    assert training_data.table(alone) is None
    assert inherited.tables(alone) == ()

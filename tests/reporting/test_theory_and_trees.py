"""Trees, pairs and the ingredients of Theorem 1 as blocks of a report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.reporting.conftest import report_of
from tests.trees.making import SHOP
from tratree_cli.display.blocks import Branch
from tratree_cli.display.tree_outline import informative_outlines, pair_comparison, tree_outline
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.pairs import render_pairs
from tratree_cli.formats.trees import TreeFile
from tratree_cli.reporting.document import Section
from tratree_cli.reporting.render.html import render
from tratree_cli.reporting.tables.informativeness import (
    Informativeness,
    TrajectoryPair,
    informativeness_table,
)
from tratree_cli.reporting.tables.theory import PreferenceEvidence, theory_table
from tratree_cli.reporting.tables.tree import tree_table
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine
from tratree_cli.trees.search.api import search

TREE = TreeFile(build_forest(columns_from_rollouts(SHOP)), SHOP, {})


def nodes(branch: Branch) -> list[Branch]:
    return [branch, *(inner for child in branch.children for inner in nodes(child))]


def test_an_outline_has_every_node_and_marks_the_searched_path() -> None:
    outline = informative_outlines(TREE, 1, search(TREE.forest))[0]
    drawn = nodes(outline.root)
    assert outline.root.visits is not None and outline.root.visits > 1
    assert any(node.divergence for node in drawn)
    path = [node for node in drawn if node.best]
    assert path[0] is outline.root
    for node in path:
        assert sum(child.best for child in node.children) <= 1
    # Children's trajectories (stop leaves included) add up to their parent's.
    for node in drawn:
        if node.children:
            assert sum(child.visits or 0 for child in node.children) == node.visits


def test_a_cut_outline_says_how_much_is_missing() -> None:
    whole = tree_outline(TREE, 0, max_nodes=0)
    cut = tree_outline(TREE, 0, max_nodes=1)
    assert len(nodes(cut.root)) == 2
    missing = len([n for n in nodes(whole.root) if n.text != "(stops here)"]) - 2
    assert any(f"{missing} more nodes" in note for note in cut.notes)


def test_trees_and_pairs_appear_in_the_page() -> None:
    pairs = list(render_pairs(mine(TREE.forest), SHOP))
    blocks = (*informative_outlines(TREE), pair_comparison(pairs[0]))
    section = Section("tree", "Trees", blocks=(tree_table("Trees", {"trees": 1}), *blocks))
    page = render(replace(report_of([]), sections=(section,)))
    assert "diverges" in page
    assert "preferred" in page and "rejected" in page


def test_the_failure_safe_case_is_said_and_so_is_its_breach() -> None:
    table = theory_table(
        [
            PreferenceEvidence("tree", 0, same_as_baseline=True),
            PreferenceEvidence("other", 0),
        ]
    )
    assert table is not None
    assert "the result is the SFT strong model itself" in table.notes[1]
    assert "yet the result differs" in table.notes[2]
    assert theory_table([]) is None


def test_pairs_of_the_tree_stand_beside_random_ones() -> None:
    parting = (TrajectoryPair("t0", 1.0, 2, 3), TrajectoryPair("t1", 0.05, 4, 1))
    table = informativeness_table(
        [
            Informativeness("tree", parting),
            Informativeness("random", (TrajectoryPair("t0", 0.5, 10, 0),)),
            Informativeness("none", ()),
        ]
    )
    assert table is not None
    assert [cell.value for cell in table.rows[0].cells] == pytest.approx(
        ["tree", 2, 50.0, 0.525, 2.0, 3.0, (0.5 + 0.0125) / 2]
    )
    assert (table.rows[0].cells[3].low, table.rows[0].cells[3].high) == (0.05, 1.0)
    assert table.rows[1].cells[3].low is None
    assert [cell.value for cell in table.rows[2].cells] == ["none", 0, *[None] * 5]
    assert informativeness_table([Informativeness("none", ())]) is None


def test_a_policy_without_pairs_is_no_failure_safe_case() -> None:
    table = theory_table([PreferenceEvidence("W2SG MCTS", None, 40, Interval(0.7), 1.5, 0.2)])
    assert table is not None
    assert not any("failure-safe" in note for note in table.notes)

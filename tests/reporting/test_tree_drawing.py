"""A trajectory tree in the page: what its drawing and its list show, and that nothing runs out."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.reporting.test_report_page import Reader
from tratree_cli.display.blocks import Branch, Outline
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.render import figure_svg, html, tree_svg


def test_a_tree_is_drawn_with_its_best_path_and_divergences() -> None:
    from tratree_cli.reporting.render.tree_svg import ROWS_DRAWN, drawing

    ways = tuple(Branch(f"click[{i}]", value=0.0, visits=1) for i in range(ROWS_DRAWN))
    best = Branch("click[best]", "seen", 1.0, 2, best=True)
    root = Branch("u", "", 0.5, 9, best=True, divergence=True, children=(best, *ways), gap=1.0)
    drawn = drawing(Outline("o", "Tree", root))
    Reader(drawn)
    assert drawn.count("<g>") == ROWS_DRAWN
    assert "click[best]" in drawn and 'class="best"' in drawn
    assert "… 2 more rows in the list below" in drawn
    assert f"{ROWS_DRAWN + 1} ways to an end, 1 divergence point; best path: click[best]." in drawn
    alone = drawing(Outline("o", "Tree", Branch("u")))
    Reader(alone)
    assert "1 way to an end" in alone


@pytest.mark.parametrize("width", [figure_svg.WIDE, figure_svg.NARROW])
def test_no_text_of_a_tree_runs_out_of_its_drawing(width: int) -> None:
    branch = Branch("click[" + "x" * 200 + "]", value=1.0, visits=1, seen="seen " * 50)
    for _ in range(30):
        branch = Branch(
            "search[a long query of many words]",
            value=0.5,
            seen="page " * 40,
            visits=2,
            divergence=True,
            gap=1.0,
            children=(branch, Branch("click[b]")),
        )
    drawn = tree_svg.drawing(Outline("o", "Tree", branch), width)
    for kind, x, text in re.findall(
        r'<text class="(act|seen)[^"]*" x="([\d.]+)"[^>]*>(.*?)<', drawn
    ):
        character = 6.7 if kind == "act" else 6.1
        assert float(x) + len(unescape(text)) * character <= width


def test_what_an_action_showed_stands_beside_it_and_a_cross_where_it_did_nothing() -> None:
    bought = Branch("click[B07]", value=1.0, visits=2, seen="red mug")
    nothing = Branch("click[gold]", value=0.0, visits=1, seen="", ineffective=True)
    outline = Outline("o", "Tree", Branch("u", value=0.5, visits=3, children=(bought, nothing)))
    for drawn in (tree_svg.drawing(outline), tree_svg.drawing(outline, figure_svg.NARROW)):
        assert ">red mug</text>" in drawn
        assert ">✗ click[gold]</text>" in drawn
    page = html.render(ReportDocument("t", sections=(Section("s", "S", (), (outline,)),)))
    assert '<span class="saw">red mug</span>' in page and "✗ no effect" in page


def test_figures_of_a_chain_stand_once() -> None:
    last = Branch("click[Buy Now]", value=0.75, visits=2)
    chain = Branch("click[b]", value=0.75, visits=2, children=(last,))
    other = Branch("click[c]", value=0.25, visits=1)
    drawn = tree_svg.drawing(Outline("o", "Tree", Branch("u", children=(chain, other))))
    assert drawn.count(">0.75</text>") == 1 and drawn.count(">0.25</text>") == 1


def test_a_long_run_of_steps_without_a_choice_is_drawn_as_one() -> None:
    def run(steps: int) -> Branch:
        branch = Branch(f"step {steps - 1}")
        for number in reversed(range(steps - 1)):
            branch = Branch(f"step {number}", children=(branch,))
        return branch

    tree = Branch("root", divergence=True, children=(run(12), run(5)))
    drawn = tree_svg.drawing(Outline("o", "Tree", tree))
    assert drawn.count('class="act"') == 1 + 3 + 5
    assert ">… 10 steps …</text>" in drawn
    assert "step 1\nstep 2\n" in drawn  # when hovered
    outline = Outline("o", "Tree", tree)
    page = html.render(ReportDocument("t", sections=(Section("s", "S", (), (outline,)),)))
    assert page.count('<span class="act"') == 1 + 12 + 5

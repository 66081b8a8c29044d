"""The page: whole, still, readable without scripts, and deaf to what its texts ask for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import (
    Branch,
    Cell,
    Column,
    Figure,
    Outline,
    Point,
    Row,
    Series,
    Table,
)
from tratree_cli.reporting.document import Artifact, ReportDocument, Section
from tratree_cli.reporting.render import figure_svg, html, html_blocks, tree_svg
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.resources import templates_dir

Maker = Callable[..., EvaluationRow]
Study = Callable[..., list[EvaluationRow]]
VOID = {"meta", "link", "br", "img", "use", "input", "hr"}


class Reader(HTMLParser):
    """Checks that elements nest, and collects what a browser would act on."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag if tag != "title" or self.open[-1] != "g" else "g.title")
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(params=[True, False], ids=["drawn", "undrawn"])
def drawing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """With matplotlib and without."""
    if request.param and not figure_svg.available():
        pytest.skip("matplotlib (the extra `report`) is not installed")
    if not request.param:
        monkeypatch.setattr(figure_svg, "available", lambda: False)
    return bool(request.param)


def test_hostile_texts_stay_texts(
    hostile_report: ReportDocument, hostile: str, drawing: bool
) -> None:
    read = Reader(html.render(hostile_report))
    assert "script" not in read.tags
    assert "img" not in read.tags
    assert not [a for a in read.attributes if a[1].startswith("on")]
    links = [value for _, name, value in read.attributes if name in ("href", "src", "xlink:href")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert read.tags.count("style") == 1
    # One title of the page, and one in every drawing (nodes have theirs inside a group).
    assert read.tags.count("title") == 1 + read.tags.count("svg")
    assert "fetch('//evil')" in "".join(read.words)
    charts = [value for tag, _, value in read.attributes if (tag, value) == ("svg", "chart")]
    assert bool(charts) is drawing


def test_the_policy_of_the_page_forbids_scripts_and_every_request(make_study: Study) -> None:
    read = Reader(html.render(report_of(make_study(1))))
    policy = next(v for tag, name, v in read.attributes if (tag, name) == ("meta", "content"))
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert not re.search(r"https?://", policy)


def test_the_page_is_accessible_in_its_structure(make_study: Study) -> None:
    page = html.render(report_of(make_study(2)))
    read = Reader(page)
    assert ("html", "lang", "en") in read.attributes
    assert read.tags.count("h1") == 1
    assert read.tags.count("caption") == read.tags.count("table")
    assert all(scope in ("col", "row") for _, name, scope in read.attributes if name == "scope")
    assert "main" in read.tags and "nav" in read.tags
    headings = [int(tag[1]) for tag in read.tags if re.fullmatch("h[1-6]", tag)]
    assert all(deeper <= higher + 1 for higher, deeper in pairwise(headings))
    identifiers = [value for _, name, value in read.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))


def test_drawings_take_their_colours_from_the_page_and_have_a_description(
    make_study: Study,
) -> None:
    pytest.importorskip("matplotlib")
    page = html.render(report_of(make_study(1)))
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) == 3
    for drawn in drawings:
        assert "var(--ink)" in drawn and "var(--c1)" in drawn
        assert "#000000" not in drawn
        assert "<desc>" in drawn and 'role="img"' in drawn


def test_series_of_a_chart_are_told_apart_without_their_colours() -> None:
    pytest.importorskip("matplotlib")
    series = tuple(Series(f"s{i}", (Point(1, i), Point(2, i + 1))) for i in range(12))
    drawn = figure_svg.draw(Figure("k", "Many", "lines", "x", "y", series))
    looks = re.findall(
        r'style="fill: none;([^"]*?)stroke: var\(--c\d\)[^>]*/>\s*<defs>\s*<path id="\w+" '
        r'd="([^"]+)"',
        drawn,
    )
    assert len(set(looks)) == len(series)


def test_paper_shows_no_colour_of_the_dark_page() -> None:
    style = (templates_dir() / "report" / "page.css").read_text("utf-8")
    dark = style[style.index("prefers-color-scheme: dark") : style.index("* { box-sizing")]
    paper = style[style.index("@media print") :]
    named = re.findall(r"(--\w+):", dark)
    assert named and set(named) <= set(re.findall(r"(--\w+):", paper))
    assert "color-scheme: light;" in paper


def test_equal_reports_give_equal_pages(make_study: Study) -> None:
    first = html.render(report_of(make_study(1)))
    assert first == html.render(report_of(make_study(1)))


def test_the_colours_of_light_and_dark_are_legible() -> None:
    style = (templates_dir() / "report" / "page.css").read_text("utf-8")
    for block in re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL):
        colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name in ("ink", "soft", "accent", "best", "part"):
            assert contrast(colours[name], colours["paper"]) >= 4.5, name
            assert contrast(colours[name], colours["band"]) >= 4.5, name
        for name in (f"c{number}" for number in range(1, 8)):
            assert contrast(colours[name], colours["paper"]) >= 3, name


def contrast(first: str, second: str) -> float:
    """The contrast ratio of WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_large_tables_and_trees_are_cut_and_say_so() -> None:
    rows = tuple(Row((Cell(f"task {i}"), Cell(i))) for i in range(5000))
    leaves = tuple(Branch(f"click[{i}]", "seen " * 50, 0.5, 1) for i in range(5000))
    report = replace(
        report_of([]),
        sections=(
            Section(
                "large",
                "Large",
                (),
                (
                    Table("t", "Tasks", (Column("Task", "text"), Column("Reward")), rows),
                    Outline("o", "Tree", Branch("root", children=leaves)),
                ),
            ),
        ),
    )
    page = html.render(report)
    assert f"… {5000 - html.ROWS_SHOWN} more rows" in page
    assert f"… {5001 - html_blocks.BRANCHES_SHOWN} more nodes are not shown" in page
    assert len(page.encode()) < 1_000_000


def test_a_drawing_survives_odd_figures() -> None:
    pytest.importorskip("matplotlib")
    for series in (
        (),
        (Series("empty", ()),),
        (Series("_hidden $x$", (Point(1, 0.0),)),),
        (Series("equal", tuple(Point(i, 5.0, 5.0, 5.0) for i in range(300))),),
        tuple(Series(f"s{i}", (Point(1, i), Point(2, i + 1))) for i in range(12)),
    ):
        Reader(figure_svg.draw(Figure("f", "t", "lines", "x", "y", series)))
    for kind in ("bars", "intervals"):
        odd = (Series("$", (Point("_x$", 0.0), Point("", 1.0, -1.0, 2.0))),)
        Reader(figure_svg.draw(Figure("f", "t", kind, "x", "y", odd, mark=0.0)))
        Reader(figure_svg.draw(Figure("f", "t", kind, "x", "y", ())))


def test_a_tree_is_drawn_with_its_best_path_and_divergences() -> None:
    from tratree_cli.reporting.render.tree_svg import WAYS_DRAWN, drawing

    ways = tuple(Branch(f"click[{i}]", value=0.0, visits=1) for i in range(WAYS_DRAWN + 3))
    best = Branch("click[best]", "seen", 1.0, 2, best=True)
    root = Branch("u", "", 0.5, 9, best=True, divergence=True, children=(*ways, best))
    drawn = drawing(Outline("o", "Tree", root))
    Reader(drawn)
    assert drawn.count("<g>") == WAYS_DRAWN + 1
    assert "click[best]" in drawn and 'class="best"' in drawn
    assert "4 more ways are in the list" in drawn
    assert f"{WAYS_DRAWN + 4} ways to an end, 1 divergence point; best path: click[best]." in drawn
    alone = drawing(Outline("o", "Tree", Branch("u")))
    Reader(alone)
    assert "1 way to an end" in alone


def test_a_long_run_of_steps_without_a_choice_is_drawn_as_one() -> None:
    def run(steps: int) -> Branch:
        branch = Branch(f"step {steps - 1}")
        for number in reversed(range(steps - 1)):
            branch = Branch(f"step {number}", children=(branch,))
        return branch

    tree = Branch("root", divergence=True, children=(run(12), run(5)))
    drawn = tree_svg.drawing(Outline("o", "Tree", tree))
    assert drawn.count('class="act"') == 3 + 5
    assert ">… 10 steps …</text>" in drawn
    assert "step 1\nstep 2\n" in drawn  # when hovered
    listed = html_blocks.outline_html(Outline("o", "Tree", tree))
    assert listed.count('<span class="act"') == 1 + 12 + 5


def test_the_lineage_leads_from_every_figure_to_the_demonstrations(make: Maker) -> None:
    report = report_of([make("mcts", [0.0, 1.0])])
    lineage = (
        Artifact("demos:" + "a" * 64, "demonstrations"),
        Artifact("model:" + "b" * 64, "strong model, mcts, seed 0", ("demos:" + "a" * 64,)),
        Artifact("model:" + "b" * 64, "the same bytes by another recipe"),
        Artifact("evaluation:mcts0", "evaluation of W2SG MCTS", ("model:" + "b" * 64,)),
    )
    page = html.render(replace(report, lineage=lineage))
    read = Reader(page)
    identifiers = [value for _, name, value in read.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    links = [value[1:] for _, name, value in read.attributes if name == "href" and value[0] == "#"]
    assert set(links) <= set(identifiers)
    assert links.count("artifact-demos-aaaaaaaaaaaa") == 1
    assert "Lineage: 4 artifacts" in page and "tratree eval mcts" in page

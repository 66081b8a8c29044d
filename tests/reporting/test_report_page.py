"""The page: whole, readable without its script, and deaf to what its texts ask for."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

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
from tratree_cli.reporting.render import figure_svg, html, html_filters
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


def test_hostile_texts_stay_texts(hostile_report: ReportDocument) -> None:
    page = html.render(hostile_report)
    read = Reader(page)
    assert read.tags.count("script") == 1
    assert page.count(html_script()) == 1
    assert "img" not in read.tags
    assert not [a for a in read.attributes if a[1].startswith("on") or a[1] == "style"]
    links = [value for _, name, value in read.attributes if name in ("href", "src", "xlink:href")]
    assert all(link.startswith(("#", "data:,")) for link in links)
    assert read.tags.count("style") == 1
    # One title of the page, and one in every drawing (nodes have theirs inside a group).
    assert read.tags.count("title") == 1 + read.tags.count("svg")
    assert "fetch('//evil')" in "".join(read.words)
    assert ("svg", "class", "chart") in read.attributes


def html_script() -> str:
    return f"<script>{(templates_dir() / 'report' / 'page.js').read_text('utf-8')}</script>"


def test_the_policy_of_the_page_admits_its_own_script_and_no_request(make_study: Study) -> None:
    page = html.render(report_of(make_study(1)))
    read = Reader(page)
    policy = next(v for tag, name, v in read.attributes if (tag, name) == ("meta", "content"))
    allowed = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert allowed["default-src"] == "'none'"
    assert not re.search(r"https?:|unsafe|\*", policy)
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        text = page.split(f"<{tag}>")[1].split(f"</{tag}>")[0]
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert allowed[rule] == f"'sha256-{digest}'"


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
    page = html.render(report_of(make_study(1)))
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    # Rewards, differences and rewards by step, each for wide and for narrow screens.
    assert len(drawings) == 6
    for drawn in drawings:
        assert not re.search("#[0-9a-f]{3}|rgb|(?:fill|stroke)=", drawn)
        assert re.search(r'class="(?:line|bar) s1"', drawn)
        assert "<desc>" in drawn and 'role="img"' in drawn
    widths = [re.search(r'viewBox="0 0 (\d+)', drawn) for drawn in drawings]
    assert [found[1] for found in widths if found] == ["760", "360"] * 3


def test_series_of_a_chart_are_told_apart_without_their_colours() -> None:
    series = tuple(Series(f"s{i}", (Point(1, i), Point(2, i + 1))) for i in range(36))
    drawn = figure_svg.draw(Figure("k", "Many", "lines", "x", "y", series))
    looks = r'class="line s\d"(.*?) d="[^"]*"/><path class="marker s\d" d="(.*?)"'
    lines = re.findall(looks, drawn)
    # Each stands in the drawing and in the legend.
    assert len(lines) == 2 * len(series)
    assert len(set(lines)) == len(series)


def test_rows_of_a_chart_stand_from_best_to_worst_and_groups_keep_their_look() -> None:
    control = Series("control", (Point("more steps", 70.0, 65.0, 75.0),), "control")
    main = Series("in question", (Point("MCTS", 75.0, 70.0, 80.0), Point("DPO", 60.0)), "main")
    both = figure_svg.draw(Figure("f", "t", "intervals", "x", "y", (main, control)))
    assert re.findall(r'class="name"[^>]*end">(.*?)<', both) == ["MCTS", "more steps", "DPO"]
    alone = figure_svg.draw(Figure("f", "t", "intervals", "x", "y", (control,)))
    look = re.search(r'class="marker (s\d)" d="([^"]+)"', alone)
    assert look is not None and look[0] in both
    narrow = figure_svg.draw(Figure("f", "t", "intervals", "x", "y", (main,)), figure_svg.NARROW)
    assert 'viewBox="0 0 360' in narrow


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
    assert f"… {5001 - html_filters.BRANCHES_SHOWN} more nodes are not shown" in page
    assert len(page.encode()) < 1_000_000


def test_a_drawing_survives_odd_figures() -> None:
    for series in (
        (),
        (Series("empty", ()),),
        (Series("_hidden $x$", (Point(1, 0.0),)),),
        (Series("equal", tuple(Point(i, 5.0, 5.0, 5.0) for i in range(300))),),
        tuple(Series(f"s{i}", (Point(1, i), Point(2, i + 1))) for i in range(12)),
    ):
        Reader(figure_svg.draw(Figure("f", "t", "lines", "x", "y", series)))
    nothing = (Series("none", (Point(float("nan"), float("nan")), Point(1, float("inf")))),)
    Reader(figure_svg.draw(Figure("f", "t", "lines", "x", "y", nothing)))
    odd = (Series("$", (Point("_x$", 0.0), Point("", 1.0, -1.0, 2.0))),)
    for width in (figure_svg.WIDE, figure_svg.NARROW):
        Reader(figure_svg.draw(Figure("f", "t", "intervals", "x", "y", odd, mark=0.0), width))
        Reader(figure_svg.draw(Figure("f", "t", "intervals", "x", "y", ()), width))


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

"""The page in a real browser: silent console, no request, light and dark, small and large.

What a script measures in it stands in the title of the DOM that Chromium prints: the page's own
content policy is taken out for that, and no other tool is needed.
"""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import (
    Branch,
    Cell,
    Column,
    Comparison,
    Gallery,
    Lane,
    Outline,
    Row,
    Strip,
    StripStep,
    Table,
    Turn,
)
from tratree_cli.reporting.document import ReportDocument, Section
from tratree_cli.reporting.render import html
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.tables.tree import tree_table

pytestmark = pytest.mark.slow
Study = Callable[..., list[EvaluationRow]]


@pytest.fixture
def browser() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no Chromium is installed")


def opened(browser: str, page: Path, *options: str) -> tuple[str, str, list[str]]:
    """The rendered DOM, the console's messages, and every URL that was asked for."""
    log = page.with_suffix(".net.json")
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-component-update",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={page.parent / 'profile'}",
        "--enable-logging=stderr",
        f"--log-net-log={log}",
        *options,
        page.as_uri(),
    ]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:  # a browser without a display hangs at its start now and then
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
    console = "\n".join(line for line in run.stderr.splitlines() if ":CONSOLE" in line)
    text = log.read_text("utf-8", "replace").rstrip().rstrip(",")
    events = json.loads(text if text.endswith("}") else text + "]}")["events"]
    urls = [
        event["params"]["url"]
        for event in events
        if isinstance(event.get("params"), dict) and "url" in event["params"]
    ]
    return run.stdout, console, urls


def processor_seconds() -> float:
    """Processor time of all finished children: a busy machine does not make a page slow."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def foreign(urls: list[str]) -> list[str]:
    """Requests that are not the page itself and not the browser's own housekeeping."""
    own = ("file:", "data:", "chrome", "about:", "devtools:")
    housekeeping = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")
    return [u for u in urls if not u.startswith(own) and not any(h in u for h in housekeeping)]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_hostile_report_opens_in_silence(
    browser: str, tmp_path: Path, hostile_report: ReportDocument, scheme: str
) -> None:
    page = tmp_path / "report.html"
    page.write_text(html.render(hostile_report), "utf-8")
    preferred = f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}"
    dom, console, urls = opened(browser, page, preferred, "--dump-dom")
    assert console == ""
    assert foreign(urls) == []
    assert dom.count("<script") == 1
    # Sources and terms stand after them.
    assert dom.count("<section") == len(hostile_report.sections) + 2


def test_a_wide_table_is_whole_on_paper(browser: str, tmp_path: Path) -> None:
    names = [f"Split {i} reward and success" for i in range(9)]
    cells = (Cell("A policy with a long name"), *(Cell(97.0, 96.1, 97.9, sd=1.5) for _ in names))
    table = Table("wide", "Wide", (Column("Policy", "text"), *map(Column, names)), (Row(cells),))
    page = tmp_path / "paper.html"
    written = html.render(ReportDocument("Wide", sections=(Section("s", "S", (), (table,)),)))
    # Paper is the print style at the width of a letter between its margins, measured by a script.
    policy = written[written.index('<meta http-equiv="Content-Security') :].split("\n")[0]
    measure = (
        "<script>document.title = Math.max(...[...document.querySelectorAll('th, td')]"
        ".map(cell => cell.getBoundingClientRect().right))</script>"
    )
    written = written.replace(policy, "").replace("@media print", "@media all")
    page.write_text(written.replace("</body>", f"{measure}</body>"), "utf-8")
    dom, _, _ = opened(browser, page, "--window-size=720,900", "--dump-dom")
    right = float(dom[dom.index("<title>") + 7 : dom.index("</title>")])
    assert 300 < right <= 720


def test_a_page_over_5000_tasks_is_small_and_opens_quickly(
    browser: str, tmp_path: Path, make_study: Study
) -> None:
    leaves = tuple(
        Branch(f"click[{i}]", "seen " * 200, i / 5000, 1, children=(Branch("buy", value=1.0),))
        for i in range(5000)
    )
    tree = Outline("o", "Tree", Branch("u", children=leaves))
    tasks = tuple(Row((Cell(f"task {i}"), Cell(i / 50))) for i in range(5000))
    columns = (Column("Task", "text"), Column("Reward"))
    report = report_of(make_study(1, 5000))
    forest = Section("tree", "Trees", (), (tree_table("Trees", {"trees": 5000}), tree))
    large = Section("tasks", "Tasks", (), (Table("tasks", "Tasks", columns, tasks),))
    report = replace(report, sections=(*report.sections, forest, large))
    page = tmp_path / "report.html"
    page.write_text(html.render(report), "utf-8")
    assert page.stat().st_size < 5_000_000
    blank = tmp_path / "blank.html"
    blank.write_text("<!DOCTYPE html><title>blank</title>")
    seconds = {}
    for path in (blank, page):
        started = processor_seconds()
        dom, console, _ = opened(browser, path, "--dump-dom")
        seconds[path] = processor_seconds() - started
        assert console == ""
        assert "</html>" in dom
    assert seconds[page] - seconds[blank] < 2


def measured(browser: str, report: ReportDocument, folder: Path, width: int, script: str) -> str:
    """What ``script`` (a JavaScript expression, or a promise of one) says of a page so wide.

    A window cannot be as narrow as a telephone, so the page stands in a frame.
    """
    written = html.render(report)
    policy = written[written.index('<meta http-equiv="Content-Security') :].split("\n")[0]
    told = f"Promise.resolve({script}).then(said => parent.postMessage(String(said), '*'))"
    page = folder / f"page-{width}.html"
    page.write_text(
        written.replace(policy, "").replace("</body>", f"<script>{told}</script></body>"), "utf-8"
    )
    frame = folder / "frame.html"
    frame.write_text(
        "<!DOCTYPE html><title>nothing was said</title>"
        "<script>onmessage = message => { document.title = message.data }</script>"
        f'<iframe src="{page.name}" width="{width}" height="900" style="border:0"></iframe>'
    )
    dom, _, _ = opened(
        browser,
        frame,
        "--allow-file-access-from-files",
        "--virtual-time-budget=20000",
        "--window-size=1500,1000",
        "--dump-dom",
    )
    return unescape(dom[dom.index("<title>") + 7 : dom.index("</title>")])


def illustrated(study: list[EvaluationRow]) -> ReportDocument:
    """A report with every kind of block."""
    leaf = Branch("click[Buy Now]", "seen", 1.0, 2, best=True, seen="thank you")
    deep = Branch(
        "click[B07]", "seen " * 60, 1.0, 2, best=True, seen="a mug " * 20, children=(leaf,)
    )
    idle = Branch("click[gold]", "seen", 0.0, 1, ineffective=True)
    root = Branch("find a mug", "", 0.7, 3, True, True, (deep, idle), gap=1.0)
    turns = (Turn("search[a mug]", "a thought", "seen " * 80, 0.0), Turn("click[x]", times=8))
    task = Comparison(
        "t", "Task 1 · SFT 0.00", "find a mug", (Lane("SFT", turns, "reward 0.00"),) * 3
    )
    steps = tuple(StripStep(f"{n},440", "rollouts", "the weak model's attempts") for n in range(6))
    story = (Strip("story", "Done", steps), Outline("tree", "Tree of task 1", root, ("G: mean.",)))
    report = report_of(study)
    return replace(
        report,
        sections=(
            Section("story", "What was found", ("A sentence.",), story),
            *report.sections,
            Section("more", "More", (), (task, Gallery("gallery", "Tasks", (task,) * 2))),
        ),
    )


@pytest.mark.parametrize("width", [1280, 768, 400])
def test_nothing_runs_out_of_the_page(
    browser: str, tmp_path: Path, make_study: Study, width: int
) -> None:
    report = illustrated(make_study(1))
    # What scrolls by itself may be wider than the page; a drawing is never cut.
    script = (
        "JSON.stringify([document.documentElement.scrollWidth,"
        " ...[...document.querySelectorAll('svg, .strip li, figure, h1, h2, h3, nav, p')]"
        ".filter(one => one.getClientRects().length)"
        ".map(one => Math.ceil(one.getBoundingClientRect().right))])"
    )
    rights = json.loads(measured(browser, report, tmp_path, width, script))
    assert len(rights) > 20
    assert max(rights) <= width


def test_a_telephone_reads_charts_and_trees_without_making_them_smaller(
    browser: str, tmp_path: Path, make_study: Study
) -> None:
    script = (
        "JSON.stringify([...document.querySelectorAll('svg')]"
        ".filter(one => one.getClientRects().length)"
        ".map(one => one.getBoundingClientRect().width / one.viewBox.baseVal.width))"
    )
    scales = json.loads(measured(browser, illustrated(make_study(1)), tmp_path, 400, script))
    assert len(scales) == 4 and min(scales) > 0.95


@pytest.mark.parametrize("form", ["SVG", "PNG"])
def test_a_drawing_is_saved_as_a_file(
    browser: str, tmp_path: Path, make_study: Study, form: str
) -> None:
    # What would be downloaded is read instead: its colours are written into it.
    script = f"""new Promise(said => {{
        URL.createObjectURL = blob => {{
            blob.slice(0, 300).text().then(text => said(`${{blob.type}} ${{blob.size}} ${{text}}`));
            return "#";
        }};
        const button = [...document.querySelectorAll("[data-drawing] button")]
            .find(one => one.textContent.endsWith("{form}"));
        button.click();
    }})"""
    said = measured(browser, illustrated(make_study(1)), tmp_path, 1280, script)
    kind, size, text = said.split(" ", 2)
    if form == "SVG":
        assert kind == "image/svg+xml" and text.startswith("<svg")
        assert "rgb(" in text and "var(" not in text
    else:
        assert kind == "image/png" and int(size) > 5000


@pytest.fixture(scope="session")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker axe-core as npm's registry has it."""
    folder = tmp_path_factory.mktemp("axe")
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core cannot be had: no npm is installed")
    command = [npm, "pack", "--silent", f"axe-core@{AXE}"]
    packed = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    archives = list(folder.glob("*.tgz"))
    if packed.returncode or not archives:
        pytest.skip(f"axe-core {AXE} cannot be had: npm's registry does not answer")
    with tarfile.open(archives[0]) as archive:
        member = archive.extractfile("package/axe.min.js")
        assert member is not None
        return member.read().decode("utf-8")


AXE = "4.14.1"


@pytest.mark.parametrize("width", [1280, 400])
def test_a_checker_of_accessibility_finds_no_serious_fault(
    browser: str, axe: str, tmp_path: Path, make_study: Study, width: int
) -> None:
    script = (
        "(document.querySelectorAll('details').forEach(one => { one.open = true }), "
        f"(() => {{ {axe} }})(), window.axe.run(document, {{resultTypes: ['violations']}}))"
        ".then(found => JSON.stringify(found.violations.map("
        "fault => [fault.impact, fault.id, fault.nodes.map(node => node.target.join(' '))])))"
    )
    said = measured(browser, illustrated(make_study(1)), tmp_path, width, script)
    faults = json.loads(said)
    assert [fault for fault in faults if fault[0] in ("serious", "critical")] == []

"""The page in a real browser: silent console, no request, light and dark, small and large."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.reporting.conftest import report_of
from tratree_cli.display.blocks import Branch, Cell, Column, Outline, Row, Table
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
    assert dom.count("<section") == len(hostile_report.sections) + 1


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

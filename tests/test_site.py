"""The site builds without a warning and asks no other server for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
MKDOCS = Path(sys.prefix) / "site" / "bin" / "mkdocs"
LOADING = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}
ELSEWHERE = re.compile(r"(?:[a-z]+:)?//")


def test_every_page_of_docs_has_its_place_on_the_site() -> None:
    shown = (REPOSITORY / "mkdocs.yml").read_text("utf-8")
    for page in (REPOSITORY / "docs").rglob("*.md"):
        name = page.relative_to(REPOSITORY / "docs").as_posix()
        assert re.search(rf"- {re.escape(name)}$", shown, re.MULTILINE), name


def test_the_modules_of_the_reference_exist_and_say_what_they_hold() -> None:
    text = (REPOSITORY / "docs" / "site_pages.py").read_text("utf-8")
    modules = re.findall(r'"(tratree_[a-z_.]+)"', text)
    assert len(modules) > 20
    for module in modules:
        root = REPOSITORY / "store" if module.startswith("tratree_store") else REPOSITORY
        path = root / module.replace(".", "/")
        file = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        )
        assert file.read_text("utf-8").startswith('"""'), module


class Loads(HTMLParser):
    """What a browser would fetch to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.drawn_elsewhere = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        # The theme fetches a library from a server of others for these alone.
        self.drawn_elsewhere |= "mermaid" in (given.get("class") or "").split()
        if tag == "link" and given.get("rel") in ("canonical", "next", "prev"):
            return
        if address := given.get(LOADING.get(tag, "")):
            self.found.append(address)


@pytest.mark.slow
@pytest.mark.skipif(not MKDOCS.is_file(), reason="needs: make .venv/.site")
def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    done = subprocess.run(
        [MKDOCS, "build", "--strict", "-q", "-d", tmp_path / "site"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text("utf-8"))
        assert not loads.drawn_elsewhere, page
        assert [address for address in loads.found if ELSEWHERE.match(address)] == [], page
    for style in (tmp_path / "site").rglob("*.css"):
        text = style.read_text("utf-8")
        assert "@import" not in text
        assert not re.search(r"url\([\"']?(?:https?:)?//", text), style
    assert "tratree_cli.trees.build" in (tmp_path / "site" / "api" / "trees.html").read_text(
        "utf-8"
    )

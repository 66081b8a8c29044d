"""The wheel carries everything and works from another folder; so does the editable install."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation",
         "-w", str(folder), str(REPOSITORY)],
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_templates_models_and_the_store(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for wanted in (
        "tratree_store/store.py",
        "tratree_cli/__main__.py",
        "tratree_cli/py.typed",
        "tratree_store/py.typed",
        "tratree_cli/templates/recipes/quick.toml",
        "tratree_cli/templates/models/tratree-s/model.safetensors",
        "tratree_cli/templates/chat/tratree.jinja",
        "tratree_cli/templates/prompts/webshop/quick/prompt.toml",
    ):
        assert wanted in names
    assert not [n for n in names if n.startswith(("tests/", "store/", "templates/"))]


def test_the_wheel_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    probe = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import tratree_cli.resources as r, tratree_store\n"
        "assert str(r.templates_dir()).startswith(sys.argv[1]), r.templates_dir()\n"
        "assert tratree_store.__file__.startswith(sys.argv[1])\n"
        "from tratree_cli.app import app; app(['explore', '--policy', 'expert', '--limit', '2'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(site)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("rollouts:")


def test_the_editable_install_finds_templates_and_store(tmp_path: Path) -> None:
    probe = (
        "import tratree_cli.resources as r, tratree_store; print(r.templates_dir());"
        "print(tratree_store.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    templates, store = done.stdout.split()
    assert (Path(templates) / "recipes" / "quick.toml").is_file()
    assert Path(store).is_file()


def test_the_source_distribution_holds_every_tracked_file(tmp_path: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("this is no git checkout, so there is no list to compare with")
    build = "import sys; from hatchling.build import build_sdist; print(build_sdist(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    archive = tmp_path / done.stdout.strip().splitlines()[-1]
    with tarfile.open(archive) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    assert set(tracked.stdout.splitlines()) - held == set()


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli", "--help"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: tratree [OPTIONS]" in done.stdout


def test_the_citation_names_the_version_that_is_built() -> None:
    version = next(
        line.partition('"')[2].rstrip('"')
        for line in (REPOSITORY / "pyproject.toml").read_text("utf-8").splitlines()
        if line.startswith("version = ")
    )
    assert f"version: {version}\n" in (REPOSITORY / "CITATION.cff").read_text("utf-8")


def test_the_pre_commit_hooks_are_the_checks_of_the_makefile() -> None:
    hooks = (REPOSITORY / ".pre-commit-config.yaml").read_text("utf-8")
    for check in ("ruff check", "ruff format", "bin/mypy", "docs/build.py --check"):
        assert check in hooks
        assert check.removeprefix("bin/") in (REPOSITORY / "Makefile").read_text("utf-8")

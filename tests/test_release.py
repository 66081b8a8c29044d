"""What is released: distributions that an index takes, a wheel that runs where nothing else is."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
from importlib.metadata import Distribution
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text("utf-8")


def test_one_version_stands_everywhere_and_the_changelog_dates_it() -> None:
    from tratree_cli import __version__

    assert PROJECT["version"] == __version__
    dated = re.search(
        rf"^## {re.escape(__version__)} - (\d{{4}}-\d\d-\d\d)$", read("CHANGELOG.md"), re.M
    )
    assert dated, "CHANGELOG.md has no dated section for this version"
    assert f"version: {__version__}\ndate-released: {dated[1]}\n" in read("CITATION.cff")


def test_the_workflow_runs_the_parts_of_the_local_check_on_every_python_we_name() -> None:
    workflow = read(".github/workflows/check.yml")
    parts = re.findall(r'step "make ([\w-]+)"', read(".ci/run"))
    assert re.findall(r"- run: make ([\w-]+)", workflow) == parts != []
    named = [c.rpartition(" ")[2] for c in PROJECT["classifiers"] if "Python :: 3." in c]
    assert re.findall(r'"(3\.\d+)"', workflow) == named


def test_the_long_description_has_no_link_that_only_a_checkout_can_follow() -> None:
    sys.path.insert(0, str(REPOSITORY))
    try:
        from hatch_build import standalone
    finally:
        sys.path.pop(0)
    text = standalone(read("README.md"))
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []
    assert "<!--" not in text and "`docs/trees.md`" in text
    assert standalone("see [a](b.md), [c](https://d.e)").startswith(
        "see a (`b.md`), [c](https://d.e)"
    )


def call(*words: str | Path, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both distributions, built as ``make dist`` builds them."""
    pytest.importorskip("build", reason="needs: make .venv/.all")
    folder = tmp_path_factory.mktemp("dist")
    done = call(
        sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY,
        folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.mark.slow
def test_twine_finds_nothing_to_say(distributions: Path) -> None:
    pytest.importorskip("twine", reason="needs: make .venv/.all")
    files = sorted(distributions.glob("tratree-*"))
    assert [path.suffix for path in files] == [".whl", ".gz"] or len(files) == 2
    done = call(sys.executable, "-m", "twine", "check", "--strict", *files, folder=distributions)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment(distributions: Path, tmp_path: Path) -> None:
    """The libraries are lent to it; that they are all that it asks for is checked by name."""
    home = tmp_path / "empty"
    venv.create(home, with_pip=False)
    (packages,) = home.glob("lib/python*/site-packages")
    (wheel,) = distributions.glob("*.whl")
    installed = call(
        sys.executable, "-m", "pip", "--python", home / "bin" / "python", "install",
        "--no-index", "--no-deps", wheel, folder=tmp_path,
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    (packages / "lent.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})"
    )
    here = tmp_path / "work"
    here.mkdir()
    tratree = home / "bin" / "tratree"
    version = call(tratree, "--version", folder=here)
    assert version.stdout.startswith(f"tratree {PROJECT['version']}"), version.stderr
    where = call(
        home / "bin" / "python",
        "-c",
        "import tratree_cli, tratree_store; print(tratree_cli.__file__, tratree_store.__file__)",
        folder=here,
    )
    assert where.stdout.count(str(packages)) == 2, where.stdout + where.stderr
    plan = call(tratree, "report", "--recipe", "micro", "--dry-run", folder=here)
    assert plan.returncode == 0, plan.stderr
    made = call(tratree, "explore", "--recipe", "micro", "--policy", "expert", folder=here)
    assert made.stdout.startswith("rollouts:"), made.stderr
    tuned = call(tratree, "sft", "--recipe", "micro", "--set", "sft.epochs=0.2", folder=here)
    assert tuned.stdout.startswith("model:"), tuned.stderr
    found = Distribution.at(next(packages.glob("tratree-*.dist-info")))
    assert {re.split(r"[\[<>=; ]", r)[0] for r in found.requires or () if "extra ==" not in r} == {
        re.split(r"[\[<>=; ]", r)[0] for r in PROJECT["dependencies"]
    }


@pytest.mark.slow
def test_tests_run_from_the_unpacked_source_distribution(
    distributions: Path, tmp_path: Path
) -> None:
    (source,) = distributions.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = (path for path in tmp_path.iterdir() if path.is_dir())
    for target in ("test", "check", "test-all", "bench", "gpu", "reproduce"):
        planned = call("make", "-n", target, f"VENV={sys.prefix}", folder=unpacked)
        assert planned.returncode == 0, planned.stderr
    path = os.pathsep.join(map(str, (unpacked, unpacked / "store")))
    done = call(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
        "tests/test_config.py", "tests/test_architecture.py", "tests/trees/test_golden.py",
        "tests/pages/test_blocks.py", "tests/test_docs.py",
        folder=unpacked, PYTHONPATH=path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    benches = call(
        sys.executable,
        "-c",
        "import benchmarks.store.bench, benchmarks.trees.compare",
        folder=unpacked,
        PYTHONPATH=path,
    )
    assert benches.returncode == 0, benches.stderr

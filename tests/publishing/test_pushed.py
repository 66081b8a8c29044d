"""Datasets, models and stores on a hub that runs on this machine, by the hub's own client."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.command_line import Folder, run_tratree
from tests.publishing.hub_server import Hub, running_hub


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as found:
        yield found


def call(hub: Hub, folder: Path, *words: str, token: str = "hf_x") -> CompletedProcess[str]:
    """A call with a connection; the hub's client reads its settings when it is imported."""
    settings = {"HF_ENDPOINT": hub.url, "HF_TOKEN": token, "HF_HUB_OFFLINE": "0"}
    return run_tratree(
        folder, *words, environment={**settings, "HF_HOME": str(folder / "hf"), "HF_DEBUG": ""}
    )


@pytest.mark.slow
def test_what_is_pushed_is_what_a_folder_holds_and_private(filled: Folder, hub: Hub) -> None:
    assert filled("export", "seen", "apart", "--hub", "here").code == 0
    done = call(hub, filled.path, "export", "seen", "apart", "--hub", "me/data")
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"pushed to {hub.url}/datasets/me/data/commit/")
    here = filled.path / "here"
    files = {str(p.relative_to(here)): p.read_bytes() for p in here.rglob("*") if p.is_file()}
    assert hub.repositories["datasets/me/data"] == files
    assert hub.private == {"datasets/me/data": True} and hub.tokens == {"Bearer hf_x"}
    call(hub, filled.path, "export", "seen", "--hub", "me/open", "--public")
    assert hub.private["datasets/me/open"] is False


@pytest.mark.slow
def test_without_a_token_nothing_is_asked(filled: Folder, hub: Hub) -> None:
    done = call(hub, filled.path, "export", "seen", "--hub", "me/data", token="")
    assert (done.returncode, hub.repositories) == (2, {})
    assert done.stderr.startswith("tratree: there is no token to push me/data with")


@pytest.mark.slow
def test_a_store_on_the_hub_takes_and_gives_and_a_flipped_byte_is_refused(
    filled: Folder, hub: Hub, tmp_path: Path
) -> None:
    url = "hf://datasets/me/store/team"
    missing = call(hub, filled.path, "store", "push", url, "best")
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"tratree: cannot write to {url}: there is no such place")
    files = hub.repositories["datasets/me/store"] = {}
    pushed = call(hub, filled.path, "store", "push", url, "best")
    assert pushed.returncode == 0, pushed.stderr
    again = call(hub, filled.path, "store", "push", url, "best")
    assert "pushed 0 objects" in again.stderr
    ref = pushed.stdout.strip()
    pulled = call(hub, filled.path, "store", "pull", url, ref, "--store", "other")
    assert (pulled.returncode, pulled.stdout.strip()) == (0, ref), pulled.stderr
    assert filled("store", "verify", ref, "--store", "other").code == 0
    name = next(name for name in files if "/blobs/" in name)
    files[name] = bytes([files[name][0] ^ 1]) + files[name][1:]
    damaged = call(hub, filled.path, "store", "pull", url, ref, "--store", "third")
    assert damaged.returncode == 12 and "other bytes" in damaged.stderr


def test_without_the_hubs_package_the_sentence_names_it(filled: Folder) -> None:
    probe = (
        "import sys; sys.modules['huggingface_hub'] = None\n"
        "from tratree_cli.app import app\n"
        "app(['store', 'push', 'hf://datasets/me/store', 'best'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=filled.path, capture_output=True, text=True
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "a package is missing; type: pip install huggingface_hub" in done.stderr

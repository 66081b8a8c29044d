"""A model behind ``transformers serve``, the real thing, against the local engine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.transformers_serve import START, require_packages, smallest_model
from tratree_cli.formats.rollouts import Rollouts, conversation, read_rollouts

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest embedded model, in the arithmetic and with the rules of both."""
    return smallest_model(tmp_path_factory.mktemp("model") / "tratree-s")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_packages()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    (home / "hub").mkdir()
    log = home / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", START, "serve", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"},
            stdout=file,
            stderr=file,
        )
    try:
        for _ in range(1200):
            assert process.poll() is None, log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                break
            except OSError:
                time.sleep(0.25)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=60)


def explored(folder: Path, policy: str) -> Rollouts:
    words = ["explore", "--policy", policy, "--limit", "4", "-m", "1", "--temperature", "0"]
    words += ["--no-stdin", "--json", "--set", "explore.max_new_tokens=40"]
    done = subprocess.run(
        [sys.executable, "-m", "tratree_cli.app", *words, "--device", "cpu"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return read_rollouts(folder / orjson.loads(done.stdout)["path"])


def test_webshop_explored_through_transformers_serve_is_what_the_local_engine_plays(
    url: str, model: Path, tmp_path: Path
) -> None:
    from transformers import AutoTokenizer

    here = explored(tmp_path, str(model))
    there = explored(tmp_path, f"openai:{url}#{model}")
    assert here.sources[0].startswith("base:sha256:")
    assert there.sources == [f"openai:{model}"]
    assert len(here.trajectories) == len(there.trajectories) == 4
    tokenizer = AutoTokenizer.from_pretrained(model)
    agreed = 0
    for mine, theirs in zip(here.trajectories, there.trajectories, strict=True):
        assert theirs.task == mine.task
        assert mine.sampled_tokens
        assert not theirs.sampled_tokens
        said, answered = conversation(here, mine), conversation(there, theirs)
        words = [message["content"] for message in said if message["role"] == "assistant"]
        encoded = tokenizer(words, add_special_tokens=False)["input_ids"]
        # A server gets words, and encoding these may give other ids than were sampled: from there
        # on it reads another conversation.
        if sum(map(len, encoded)) == mine.sampled_tokens:
            assert (answered, theirs.end, theirs.score) == (said, mine.end, mine.score)
        assert answered[:2] == said[:2]
        agreed += sum(a == b for a, b in zip(answered[1::2], said[1::2], strict=False))
    assert agreed >= 8

"""``--engine transformers`` with the real ``transformers serve``, against the local engine."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_tratree
from tests.real.smollm2 import NotAvailableError, model_folder
from tests.transformers_serve import START, require_packages, smallest_model
from tratree_cli.formats.rollouts import Rollouts, conversation, read_rollouts

pytestmark = pytest.mark.slow
COMMAND = {"TRATREE_TRANSFORMERS": shlex.join([sys.executable, "-c", START])}
"""The one of these tests' own packages, which need not be on the path."""


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    require_packages()


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The smallest embedded model, with the rules of both engines in its own settings."""
    return smallest_model(tmp_path_factory.mktemp("model") / "tratree-s")


@pytest.fixture(scope="module")
def adapter(embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of that model, random and large enough to change what is said."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(3)
    base = AutoModelForCausalLM.from_pretrained(embedded, dtype=torch.float32)
    model: Any = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    folder = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(folder)
    for file in embedded.iterdir():
        if file.name.startswith("token") or file.suffix == ".jinja":
            shutil.copy(file, folder)
    return folder


def explored(folder: Path, model: Path, engine: str, *words: str) -> tuple[Rollouts, Any]:
    done = run_tratree(
        folder, "explore", "--policy", str(model), "--engine", engine, "--device", "cpu",
        "-m", "1", "--temperature", "0", "--no-stdin", "--json", *words,
        environment=COMMAND, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    return read_rollouts(folder / made["path"]), made["summary"]


def agreed(model: Path, here: Rollouts, there: Rollouts) -> int:
    """Equal turns; every episode has to be equal until words stand for other ids than were said.

    The server gets words, and encoding these may give other ids than were sampled: from there on
    it reads another conversation.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    equal = 0
    for mine, theirs in zip(here.trajectories, there.trajectories, strict=True):
        assert theirs.task == mine.task
        said, answered = conversation(here, mine), conversation(there, theirs)
        words = [message["content"] for message in said if message["role"] == "assistant"]
        encoded = tokenizer(words, add_special_tokens=False)["input_ids"]
        if sum(map(len, encoded)) == mine.sampled_tokens:
            assert (answered, theirs.end, theirs.score) == (said, mine.end, mine.score)
        both = zip(answered, said, strict=False)
        equal += sum(a == b for a, b in both if b["role"] == "assistant")
    return equal


def test_the_embedded_model_says_what_it_says_in_the_local_engine(
    embedded: Path, tmp_path: Path
) -> None:
    words = ("--limit", "4", "--set", "explore.max_new_tokens=40")
    here, _ = explored(tmp_path, embedded, "local", *words)
    there, summary = explored(tmp_path, embedded, "transformers", *words)
    assert agreed(embedded, here, there) >= 8
    assert here.sources == there.sources
    assert summary["external"] is True
    assert summary["engine"]["name"] == "transformers"
    assert summary["engine"]["version"][0].isdigit()


def test_an_adapter_says_what_it_says_in_the_local_engine(
    embedded: Path, adapter: Path, tmp_path: Path
) -> None:
    words = ("--limit", "2", "--set", "explore.max_new_tokens=40")
    here, _ = explored(tmp_path, adapter, "local", *words)
    there, _ = explored(tmp_path, adapter, "transformers", *words)
    plain, _ = explored(tmp_path, embedded, "local", *words)
    assert agreed(adapter, here, there) >= 2
    assert {*here.texts} != {*plain.texts}


def test_a_published_model_says_what_it_says_in_the_local_engine(tmp_path: Path) -> None:
    try:
        model = model_folder()
    except NotAvailableError as reason:
        pytest.skip(str(reason))
    words = ("--recipe", "small", "--limit", "1", "--set", "explore.max_new_tokens=12")
    here, _ = explored(tmp_path, model, "local", *words)
    there, _ = explored(tmp_path, model, "transformers", *words)
    assert agreed(model, here, there) >= 2

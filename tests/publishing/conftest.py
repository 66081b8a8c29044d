"""A store with a little of everything that can be published, made in a second."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command_line import Folder


@pytest.fixture
def tratree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    return Folder(tmp_path, monkeypatch)


@pytest.fixture
def filled(tratree: Folder) -> Folder:
    """Two ways through one task, the tree of them, its pair and its path."""

    def episode(action: str, score: float) -> dict[str, object]:
        turns = [("user", "see"), ("assistant", "Thought: t\nAction: look")]
        turns += [("user", "a door"), ("assistant", f"Thought: t\nAction: {action}")]
        messages = [{"role": role, "content": content} for role, content in turns]
        return {"task": "t", "messages": messages, "score": score, "scores": [0.0, score]}

    tratree.write("mine.jsonl", [episode("open", 1.0), episode("wait", 0.0)])
    assert tratree("import", "mine.jsonl", "--format", "jsonl", "--name", "seen").code == 0
    assert tratree("build-tree", "seen", "--name", "grown").code == 0
    for made, command in (("apart", "mine-pairs"), ("best", "mcts")):
        answer = tratree(command, "grown", "--name", made)
        assert answer.code == 0, answer.err
    return tratree

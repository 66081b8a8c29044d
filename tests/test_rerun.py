"""Making an artifact again from its record: everything is as it was then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline import recompute
from tratree_cli.pipeline.graph import Node


def entry(**provenance: Any) -> Any:
    return SimpleNamespace(
        stage="mcts",
        ref="paths:ab",
        summary={},
        document={"params": {"rollouts": 7}, "inputs": {"tree": "one"}},
        provenance={"config": Config().to_dict(), **provenance},
    )


def test_an_artifact_is_made_again_on_the_device_and_with_the_threads_of_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[tuple[Any, Node, Any]] = []
    monkeypatch.setattr(recompute, "limit_threads", lambda _: None)
    monkeypatch.setattr(recompute, "run_node", lambda *given: ran.append(given) or [0])
    made = SimpleNamespace(object="one")
    scratch: Any = SimpleNamespace(root=None, maker={"one": made}.get)
    recompute.rerun(entry(threads=2, device="cpu"), scratch)
    ((runtime, node, inputs),) = ran
    assert (runtime.options.threads, runtime.options.device) == (2, "cpu")
    assert node.params == {"rollouts": 7}
    assert inputs == {"tree": [made]}
    assert node.key in runtime.forced


def test_an_input_that_is_gone_is_named() -> None:
    gone: Any = SimpleNamespace(root=None, maker=lambda *_: None)
    with pytest.raises(InputError, match=r"an input \(tree\)"):
        recompute.rerun(entry(), gone)

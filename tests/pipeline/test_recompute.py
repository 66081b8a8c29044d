"""Making an artifact again from its record: everything is as it was then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline import recompute
from tratree_cli.pipeline.node_runner import NodeRun
from tratree_cli.pipeline.registry import stage_named
from tratree_cli.stages.mcts import STAGE
from tratree_cli.stages.recorded import recorded_node

PARAMS = {"rollouts": 7, "gamma": 1.41, "select": "mean", "min_score": 0.0}


def entry(**provenance: Any) -> Any:
    return SimpleNamespace(
        stage="mcts",
        ref="paths:ab",
        summary={},
        document={"stage_version": STAGE.version, "params": PARAMS, "inputs": {"tree": "one"}},
        provenance={"config": Config().to_dict(), **provenance},
    )


def test_an_artifact_is_made_again_on_the_device_and_with_the_threads_of_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran: list[tuple[NodeRun, Any, Any]] = []
    monkeypatch.setattr(recompute, "limit_threads", lambda _: None)
    monkeypatch.setattr(recompute, "run_node", lambda *given: ran.append(given) or [0])
    made = SimpleNamespace(object="one")
    scratch: Any = SimpleNamespace(root=None, maker={"one": made}.get)
    recompute.rerun(entry(threads=2, device="cpu"), scratch, node_of=recorded_node)
    ((run, _, _),) = ran
    assert (run.options.threads, run.options.device) == (2, "cpu")
    assert run.node.key_params == PARAMS
    assert run.inputs == {"tree": [made]}
    assert run.forced


def test_an_input_that_is_gone_is_named() -> None:
    gone: Any = SimpleNamespace(root=None, maker=lambda *_: None)
    with pytest.raises(InputError, match=r"an input \(tree\)"):
        recompute.rerun(entry(), gone, node_of=recorded_node)


def test_what_an_earlier_version_of_a_stage_made_is_not_made_again_by_another() -> None:
    made = entry()
    made.document["stage_version"] = 0
    with pytest.raises(
        InputError, match=rf"version 0 of the stage 'mcts'.*has version {STAGE.version}"
    ):
        recorded_node(made, {})


def test_a_stage_is_found_by_its_name_wherever_it_is_defined() -> None:
    for name in ("explore", "eval", "train-strong", "report", "pretrain"):
        assert stage_named(name).name == name
    with pytest.raises(InputError, match="no stage 'explode'"):
        stage_named("explode")

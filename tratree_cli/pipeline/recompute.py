"""Run the recipe of an artifact again: a node made from the record instead of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from tratree_cli.config import from_dict
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Node, Options, Stage
from tratree_cli.pipeline.node_runner import Quiet, run_node
from tratree_cli.pipeline.runtime import Runtime
from tratree_cli.threads import limit_threads

if TYPE_CHECKING:
    from tratree_store import Entry, Store

MODULES = (
    "tratree_cli.stages.pretrain",
    "tratree_cli.stages.demos",
    "tratree_cli.stages.sft",
    "tratree_cli.stages.explore",
    "tratree_cli.stages.build_tree",
    "tratree_cli.stages.mine_pairs",
    "tratree_cli.stages.mcts",
    "tratree_cli.stages.ref_logps",
    "tratree_cli.stages.train_strong",
    "tratree_cli.stages.evaluate",
    "tratree_cli.stages.preference_accuracy",
    "tratree_cli.reporting.report_stage",
)


def stage_named(name: str) -> Stage:
    """The stage that calls itself ``name``."""
    for module in MODULES:
        stage: Stage = import_module(module).STAGE
        if stage.name == name:
            return stage
    raise InputError(f"this version of tratree has no stage '{name}'; it cannot be run again")


def _refuse_what_came_from_outside(entry: Entry) -> None:
    """Nothing here can make again what a file, a server or a person gave."""
    if entry.stage == "import":
        raise InputError(f"{entry.ref[:24]} came from a file; import that file again to compare")
    if entry.summary.get("external"):
        raise InputError(
            f"{entry.ref[:24]} was played by a policy outside the store (a server, a plug-in or a "
            "person), so its bytes cannot be reproduced here; every byte is as it was made"
        )


def rerun(entry: Entry, scratch: Store) -> Entry:
    """Make ``entry`` again in ``scratch``, which holds its inputs; as it was made then.

    Threads and device change the bytes without being keyed.
    """
    from tratree_store.keys import input_digests

    _refuse_what_came_from_outside(entry)
    document, provenance = entry.document, entry.provenance
    options = Options(
        threads=int(provenance.get("threads", 1)), device=str(provenance.get("device", "auto"))
    )
    limit_threads(options.threads)
    inputs: dict[str, Sequence[Entry]] = {}
    for role, digests in input_digests(document).items():
        found = [scratch.maker(digest, entry) for digest in digests]
        if None in found:
            raise InputError(f"an input ({role}) of {entry.ref[:24]} is no longer in the store")
        inputs[role] = [made for made in found if made is not None]
    node = Node(
        stage=stage_named(entry.stage),
        label=str(provenance.get("label", entry.stage)),
        config=from_dict(provenance["config"], f"the recipe of {entry.ref[:24]}"),
        params=document.get("params", {}),
        inputs=inputs,
        environment=document.get("environment"),
        models=document.get("models", {}),
        templates=document.get("templates", {}),
    )
    runtime = Runtime(scratch.root, Quiet(), options, forced=frozenset({node.key}))
    return run_node(runtime, node, inputs)[0]

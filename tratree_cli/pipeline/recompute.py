"""Run the recipe of an artifact again, to compare the bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Node, Options
from tratree_cli.pipeline.node_runner import NodeRun, run_node
from tratree_cli.pipeline.reporter import SilentReporter
from tratree_cli.threads import limit_threads

if TYPE_CHECKING:
    from tratree_store import Entry, Store

NodeOf = Callable[["Entry", Mapping[str, Sequence["Entry"]]], Node]
"""Makes the node of an artifact's record, with the given inputs (``stages.recorded``)."""


def rerun(entry: Entry, scratch: Store, *, node_of: NodeOf) -> Entry:
    """Make ``entry`` again in ``scratch``, which holds its inputs; as it was made then.

    Threads and device change the bytes without being keyed.
    """
    from tratree_store.keys import input_digests

    _refuse_what_came_from_outside(entry)
    provenance = entry.provenance
    options = Options(
        threads=int(provenance.get("threads", 1)), device=str(provenance.get("device", "auto"))
    )
    limit_threads(options.threads)
    inputs: dict[str, Sequence[Entry]] = {}
    for role, digests in input_digests(entry.document).items():
        makers = [scratch.maker(digest, entry) for digest in digests]
        if None in makers:
            raise InputError(f"an input ({role}) of {entry.ref[:24]} is no longer in the store")
        inputs[role] = [maker for maker in makers if maker is not None]
    node = node_of(entry, inputs)
    run = NodeRun(node, inputs, node.label, options, forced=True)
    return run_node(run, scratch, SilentReporter())[0]


def _refuse_what_came_from_outside(entry: Entry) -> None:
    """Nothing here can make again what a file, a server or a person gave."""
    if entry.stage == "import":
        raise InputError(f"{entry.ref[:24]} came from a file; import that file again to compare")
    if entry.summary.get("external"):
        raise InputError(
            f"{entry.ref[:24]} was played by a policy outside the store (a server, a plug-in or a "
            "person), so its bytes cannot be reproduced here; every byte is as it was made"
        )

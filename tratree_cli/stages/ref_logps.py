"""Log-probabilities of pairs under the fixed KL reference of Eq. 6, computed once.

Stored, they spare a second model in memory while the strong one trains, and they bridge
tokenizers: DPO needs only the sum over the agent's tokens, each model in its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Node, Result, Stage

if TYPE_CHECKING:
    from tratree_store import Entry


STAGE = Stage("ref-logps", 1, "ref-logps", "tratree_cli.stages.ref_logps:run")


def node(config: Config, *, pairs: Node | Entry, reference: Node | Entry) -> Node:
    section = config.sft
    of = pairs.label if isinstance(pairs, Node) else str(pairs.provenance.get("label", "pairs"))
    return Node(
        stage=STAGE,
        label=f"reference scores of {of}",
        config=config,
        params={
            "max_length": section.max_length,
            "too_long": section.too_long,
            "dtype": section.dtype,
        },
        inputs={"pairs": (pairs,), "model": (reference,)},
    )


def run(job: Job) -> Result:
    import numpy as np

    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.stages.training_inputs import length_policy, length_warnings, training_progress
    from tratree_cli.training.data import pair_rows
    from tratree_cli.training.params import TrainingParams
    from tratree_cli.training.reference import ReferenceLogps, reference_logps, write_logps

    pairs = read_pairs(job.one("pairs").path)
    model = job.one("model").path
    if not pairs.pairs:
        # Training on nothing adopts the initial model; it needs no more than an empty table.
        none = np.zeros(0, dtype=np.float32)
        write_logps(ReferenceLogps(none, none, np.zeros(0, dtype=np.int64)), job.out)
        return Result({"pairs": 0, "tokens": 0})
    tokenizer = load_tokenizer(model)
    rows, lengths = pair_rows(
        tokenizer, [pair.messages() for pair in pairs.pairs], length_policy(job.params, model)
    )
    config = TrainingParams(dtype=job.params["dtype"], device=job.options.device)
    scored = reference_logps(
        model, rows, threads=job.options.threads, progress=training_progress(job), config=config
    )
    write_logps(scored, job.out)
    return Result(
        {"pairs": len(rows), "tokens": lengths.tokens},
        warnings=length_warnings(lengths, len(pairs.pairs), "pairs"),
    )

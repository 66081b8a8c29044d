"""Log-probabilities of pairs under the fixed KL reference of Eq. 6, computed once.

Stored, they spare a second model in memory while the strong one trains, and they bridge
tokenizers: DPO needs only the sum over the agent's tokens, each model in its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.pipeline.graph import Job, Locations, Node, Result, Stage
from tratree_cli.pipeline.parameters import keyed_unless
from tratree_cli.stages.training_inputs import (
    base_folder,
    base_of,
    held_version,
    length_policy,
    length_warnings,
    sharing_summary,
    training_progress,
)

if TYPE_CHECKING:
    from tratree_store import Entry


@dataclass(frozen=True)
class RefLogpsParameters:
    """``by_turn``: the sums of single turns are stored beside those of whole continuations."""

    max_length: int
    too_long: str
    dtype: str
    held_version: int = keyed_unless(1)
    by_turn: bool = keyed_unless(False)


STAGE = Stage(
    "ref-logps",
    5,
    "ref-logps",
    "tratree_cli.stages.ref_logps:run",
    RefLogpsParameters,
    "tratree_cli.stages.memory_forecast:of_scoring",
)


def node(
    config: Config,
    *,
    pairs: Node | Entry,
    reference: Node | Entry,
    policy: Node | Entry | None,
    by_turn: bool = False,
) -> Node:
    """Scores of ``reference`` on what it and ``policy`` can both read.

    ``policy`` is the model that is to be trained on the pairs, None for the strong base model.
    """
    inputs: dict[str, Sequence[Node | Entry]] = {"pairs": (pairs,), "model": (reference,)}
    models: dict[str, str] = {}
    if policy is None:
        models["policy"] = base_of(config, "strong")
    else:
        inputs["policy"] = (policy,)
    section = config.sft.of("strong")
    of = pairs.label if isinstance(pairs, Node) else str(pairs.provenance.get("label", "pairs"))
    return Node(
        stage=STAGE,
        label=f"reference scores of {of}",
        config=config,
        params=RefLogpsParameters(
            section.max_length, section.too_long, section.dtype, held_version(section), by_turn
        ),
        inputs=inputs,
        models=models,
        locations=Locations(base_models=(config.models.strong,)),
    )


def run(job: Job[RefLogpsParameters]) -> Result:
    from tratree_cli.formats.pairs import read_pairs
    from tratree_cli.models.load import load_tokenizer
    from tratree_cli.models.template_arguments import arguments_of
    from tratree_cli.training.data import Reader, shared_pair_rows
    from tratree_cli.training.params import TrainingParams
    from tratree_cli.training.reference import ReferenceLogps, reference_logps, write_logps

    params = job.params
    pairs = read_pairs(job.one("pairs").path)
    model = job.one("model").path
    if not pairs.pairs:
        # Training on nothing adopts the initial model; it needs no more than an empty table.
        write_logps(ReferenceLogps.empty(), job.out)
        return Result({"pairs": 0, "tokens": 0})
    policy = job.maybe("policy")
    trained = policy.path if policy else base_folder(job, "policy")[0]
    arguments = arguments_of(job.node.models.get("policy", ""))
    readers = [
        Reader(tokenizer, length_policy(params.max_length, params.too_long, folder))
        for tokenizer, folder in (
            (load_tokenizer(model), model),
            (load_tokenizer(trained, arguments), trained),
        )
    ]
    shared, lengths = shared_pair_rows(readers, [pair.messages() for pair in pairs.pairs])
    lengths.require_rows("pairs")
    rows = [row for row, _ in shared]
    config = TrainingParams(dtype=params.dtype, device=job.options.device)
    scored = reference_logps(
        model,
        rows,
        threads=job.options.threads,
        progress=training_progress(job),
        config=config,
        by_turn=params.by_turn,
    )
    write_logps(scored, job.out)
    summary: dict[str, float] = {"pairs": len(rows), "tokens": lengths.tokens}
    if scored.sharing is not None:
        summary |= sharing_summary(scored.sharing)
    return Result(
        summary,
        warnings=[*length_warnings(lengths, len(pairs.pairs), "pairs"), *scored.remarks],
    )

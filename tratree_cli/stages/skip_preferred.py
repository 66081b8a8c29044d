"""Pairs without those that the model which is to be trained on them prefers already.

Their first turns are scored once under that model, by the stage that scores references; what it
finds likelier by more than a margin on the chosen side has little to teach and is left out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tratree_cli.config import Config
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Job, Node, Result, Stage
from tratree_cli.stages import ref_logps

if TYPE_CHECKING:
    from tratree_store import Entry

    from tratree_cli.sections import PairsSection


@dataclass(frozen=True)
class SkipPreferredParameters:
    margin: float


STAGE = Stage(
    "skip-preferred", 1, "pairs", "tratree_cli.stages.skip_preferred:run", SkipPreferredParameters
)
PREFERRED = "preferred already"


def node(
    config: Config, section: PairsSection, *, pairs: Node | Entry, model: Node | Entry | None
) -> Node | Entry:
    """``pairs`` without those that ``model`` prefers already, where ``section`` asks for that.

    ``model`` is where training starts; None for the base model, which was never taught to act.
    """
    if not section.skip_preferred:
        return pairs
    if model is None:
        raise InputError(
            "pairs.skip_preferred asks which pairs the initial model prefers already, and a base "
            "model prefers nothing yet; start from an SFT model (--init), or leave it out"
        )
    scores = ref_logps.node(config, pairs=pairs, reference=model, policy=model)
    of = pairs.label if isinstance(pairs, Node) else str(pairs.provenance.get("label", "pairs"))
    return Node(
        stage=STAGE,
        label=f"{of} not preferred yet",
        config=config,
        params=SkipPreferredParameters(section.skip_margin),
        inputs={"pairs": (pairs,), "scores": (scores,)},
    )


def run(job: Job[SkipPreferredParameters]) -> Result:
    from tratree_cli.formats.importing_pairs import RULE as IMPORTED
    from tratree_cli.formats.pairs import read_pairs, write_pairs
    from tratree_cli.training.reference import preferred, read_logps

    pairs = read_pairs(job.one("pairs").path)
    skipped = preferred(read_logps(job.one("scores").path), job.params.margin)
    kept = [pair for pair in pairs.pairs if pair.messages().identity not in skipped]
    left_out = len(pairs) - len(kept)
    dropped = {**pairs.meta.get("dropped", {}), **({PREFERRED: left_out} if left_out else {})}
    write_pairs(kept, job.out, meta={**pairs.meta, "dropped": dropped})
    rule = str(pairs.meta.get("rule", ""))
    kinds = Counter(pair.kind for pair in kept if pair.kind)
    summary = {
        "pairs": len(kept),
        "preferred_already": left_out,
        "tasks_with_pairs": len({pair.task for pair in kept}),
        "mean_gap": round(sum(pair.gap for pair in kept) / len(kept), 3) if kept else 0.0,
        "kinds": dict(sorted(kinds.items(), key=lambda each: (-each[1], each[0]))),
        "rule": "" if rule == IMPORTED else rule,
    }
    nothing = "the model prefers the chosen side of every pair already"
    return Result(summary, warnings=[nothing] if left_out and not kept else [])

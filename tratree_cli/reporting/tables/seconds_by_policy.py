"""What a policy cost altogether, the tree and the search apart (section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.display.blocks import COUNT, SECONDS, TEXT, Cell, Column, Row, Table
from tratree_cli.reporting.policy_cost import PolicyCost

_TREE_STAGES = ("build-tree", "mcts", "mine-pairs")
_EFFORT = {
    "cpu_seconds": Column("CPU", SECONDS),
    "gpu_seconds": Column("GPU", SECONDS),
    "episodes": Column("Episodes", COUNT),
    "tokens": Column("Tokens", COUNT),
    "trained": Column("Trained tokens", COUNT),
    "computed": Column("Computed", COUNT),
    "saved": Column("Seconds saved", SECONDS),
}


def table(costs: Sequence[PolicyCost]) -> Table:
    """One row a policy; what no policy has recorded has no column."""
    efforts = [name for name in _EFFORT if any(c.effort(name) is not None for c in costs)]
    rows = []
    for cost in costs:
        by_stage = cost.seconds_by_stage
        search = [by_stage[stage] for stage in _TREE_STAGES if by_stage.get(stage)]
        rows.append(
            Row(
                (
                    Cell(cost.label),
                    Cell(cost.seconds),
                    Cell(sum(search) if search else None),
                    *(Cell(cost.effort(name)) for name in efforts),
                )
            )
        )
    return Table(
        key="cost",
        title="Cost of a policy from its demonstrations to its evaluation",
        columns=(
            Column("Policy", TEXT),
            Column("Seconds", SECONDS),
            Column("Tree + search", SECONDS),
            *(_EFFORT[name] for name in efforts),
        ),
        rows=tuple(rows),
        notes=(
            "Seconds: wall-clock when the artifacts were made; what several rows share counts in "
            "each. Tree + search: build-tree, mine-pairs and mcts over all tasks (section 4.2). "
            "CPU: of all processes. GPU: wall-clock of the stages that computed on one. Episodes "
            "and sampled tokens: demonstrations, exploration and evaluation. Computed: of the "
            "tokens that trainings read, what is left where rows of a tree share them. Saved: "
            "what the rest would have taken at the same seconds a token, at most. Means over "
            "seeds.",
        ),
    )

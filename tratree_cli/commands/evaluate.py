"""``tratree eval``: a policy on a split → an evaluation."""

from __future__ import annotations

from typing import Annotated

import typer

from tratree_cli.commands.completion import complete_reference, complete_split
from tratree_cli.commands.engines import ENGINE_HELP, ExtraBody
from tratree_cli.commands.registered import complete_policy, listed
from tratree_cli.commands.registered import policies as policy_forms
from tratree_cli.commands.session import Session, stage_command

app = typer.Typer()


@app.command("eval")
@stage_command
def evaluate(
    session: Session,
    model: Annotated[
        list[str] | None,
        typer.Argument(help="A model (default: W2SG tree-DPO).", autocompletion=complete_reference),
    ] = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            help=f"Instead of a model: one of {listed(policy_forms())}.",
            autocompletion=complete_policy,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="Split to evaluate on; seen and unseen too.",
            autocompletion=complete_split,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="Only the first N tasks, 0: all.", metavar="N")
    ] = None,
    samples: Annotated[
        int | None, typer.Option("-m", "--samples", help="Trajectories per task.", min=1)
    ] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", help="0 is greedy.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            "--protocol",
            help="As published numbers were measured: paper, eto, verl-agent, or a .toml.",
            metavar="NAME",
        ),
    ] = None,
    best_of: Annotated[
        int,
        typer.Option(
            "--best-of",
            help="Score the best of N sampled episodes (at temperature 1 unless one is given).",
            min=1,
            metavar="N",
        ),
    ] = 1,
    extra: ExtraBody = None,
    engine: Annotated[str | None, typer.Option("--engine", help=ENGINE_HELP)] = None,
) -> None:
    """Evaluate a policy: average reward, success rate, intervals."""
    from tratree_cli.commands.policies import extra_body, open_policies
    from tratree_cli.display.summaries import evaluation_summary
    from tratree_cli.errors import InputError
    from tratree_cli.methods.registry import DEFAULT
    from tratree_cli.stages import evaluate as stage
    from tratree_cli.stages import train_strong

    if best_of > 1 and samples is not None:
        raise InputError("--best-of N samples N episodes per task; drop --samples")
    if best_of > 1 and temperature == 0:
        raise InputError("--best-of needs episodes that differ; --temperature 0 makes them equal")
    if policy and model:
        raise InputError("eval takes a model or a --policy, not both; call it once for each")
    words = [policy] if policy else session.words(model or [])
    body = extra_body(extra, words)
    policies = open_policies(session, words)
    if len(policies) > 1:
        raise InputError(f"eval takes one policy, not {len(policies)}; call it once for each")
    config = session.config(
        [p for p in policies if not isinstance(p, str)],
        eval__split=split,
        eval__limit=limit,
        eval__samples=samples,
        eval__temperature=temperature,
        eval__protocol=protocol,
        explore__extra_body=body,
        explore__backend=engine,
    )
    chosen = policies[0] if policies else train_strong.node(config, DEFAULT)
    node = stage.node(config, policy=chosen, label=_label(chosen), best_of=best_of)
    session.finish(node, summary=evaluation_summary)


def _label(policy: object) -> str:
    """What the report calls the policy: a model's maker's label, or the policy's name."""
    provenance = getattr(policy, "provenance", None)
    if provenance is not None:
        return str(provenance.get("label", "model"))
    return str(getattr(policy, "label", policy))

"""What goes beyond one round of one weak model: variants of methods, with controls of their own.

``METHOD/rounds`` explores, grows the trees and trains again; ``METHOD/chain`` learns from what the
model that the method made of the next smaller one explores. Each names the method itself and a
control at equal budget as its controls, so that both stand beside it by default.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tratree_cli.methods.method import Beyond, Group, Method, PaperPlaces


def repeatable(record: Method) -> bool:
    """Whether it learns from what is made of several explorations (a trainer of its own that reads
    rollouts is given one)."""
    return _explored(record) and record.learns_from != "rollouts"


def chainable(record: Method) -> bool:
    """Whether the weak model explores for it, so that another model may in its place."""
    return _explored(record) and record.explorer == "weak"


def _explored(record: Method) -> bool:
    learns = record.learns_from not in ("nothing", "demonstrations")
    in_question = record.group in ("main", "baseline") and not record.own_data
    return learns and in_question and bool(record.explorer)


def _variant(
    method: Method,
    beyond: Beyond,
    title: str,
    summary: str,
    *,
    group: Group = "main",
    controls: tuple[str, ...] = (),
    alternative: str = "",
) -> Method:
    return replace(
        method,
        name=f"{method.name}/{beyond}",
        title=f"{method.title}, {title}",
        summary=f"{method.name} {summary}",
        numbered_title="",
        group=group,
        controls=controls,
        alternative=alternative,
        control_of=method.name if group == "control" else "",
        fixed=(*method.fixed, "explore.m"),
        beyond=beyond,
        paper=PaperPlaces(),
    )


def _rounds(method: Method) -> Method:
    return _variant(
        method,
        "rounds",
        "rounds",
        "again on what its own model explores, the best round on dev (rounds.number)",
        controls=(method.name, f"{method.name}/at-once"),
    )


def _at_once(method: Method) -> Method:
    return _variant(
        method,
        "at-once",
        "at once",
        "in one round, with the episodes and updates of all rounds",
        group="control",
        alternative="the episodes and updates of all rounds in one",
    )


def _chain(method: Method) -> Method:
    return _variant(
        method,
        "chain",
        "chain",
        "with the model that it made of the next smaller one in the weak model's place",
        controls=(method.name, f"{method.name}/restart-more"),
    )


def _restart_more(method: Method) -> Method:
    return _variant(
        method,
        "restart-more",
        "restarted, all episodes",
        "with the SFT weak model, which plays as many episodes as all links of the chain",
        group="control",
        alternative="the episodes of all links, played by the SFT weak model",
    )


_ROUNDS: dict[str, Callable[[Method], Method]] = {"rounds": _rounds, "at-once": _at_once}
_CHAINS: dict[str, Callable[[Method], Method]] = {"chain": _chain, "restart-more": _restart_more}


def beyond(record: Method, variant: str) -> Method | None:
    """The variant of the method that goes beyond one round; None where it has none of that name."""
    made = (_ROUNDS if repeatable(record) else {}).get(variant)
    made = made or (_CHAINS if chainable(record) else {}).get(variant)
    return made(record) if made else None

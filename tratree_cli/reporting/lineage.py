"""What an artifact was made from, and what that adds up to: data budget and optimizer steps.

Every number of a report is traced through the store, not through file names or what a command
happened to know, so a table over references from last week says the same as one made at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tratree_cli.evaluation.artifact import Budget
from tratree_cli.pipeline.lineage import ONLY_COUNTED
from tratree_cli.training.rounds import rounds_of

if TYPE_CHECKING:
    from tratree_store import Entry, Store

    from tratree_cli.reporting.rows import RowLineage

SFT_STAGES = ("sft", "sft-auto")
"""The stages that make an SFT model: of a given length, and of one that is chosen on dev."""
ROUNDS_STAGE = "rounds"
_ROLES_BY_LABEL = {"SFT weak model": "weak", "SFT strong model": "strong"}


def inputs(
    store: Store, entry: Entry, role: str | None = None, *, without: str | None = None
) -> list[Entry]:
    """The direct inputs (of one role, all, or all but one); collected ones are missing.

    They are those that the stage recorded as it ran. Several recipes may have given one object, so
    the object alone does not say which of them it was.
    """
    recorded = entry.provenance.get("inputs")
    made_from: list[Entry | None] = []
    if role is None and (chosen := best_round(store, entry)) is not None:
        made_from.append(chosen)
    for name, objects in entry.inputs.items():
        if name == without or role not in (None, name):
            continue
        if recorded is None or len(recorded.get(name, ())) != len(objects):
            made_from += [_most_recent_maker(store, digest, entry) for digest in objects]
        else:
            made_from += [
                _made_by(store, recipe, digest)
                for recipe, digest in zip(recorded[name], objects, strict=True)
            ]
    return [maker for maker in made_from if maker is not None]


def _made_by(store: Store, recipe: str, digest: str) -> Entry | None:
    return next((entry for entry in store.records_of(recipe) if entry.object == digest), None)


def best_round(store: Store, entry: Entry) -> Entry | None:
    """Of a model of several rounds the training that it is; None for any other artifact."""
    rounds = rounds_of(entry.summary) if entry.stage == ROUNDS_STAGE else None
    return None if rounds is None else _made_by(store, rounds.best.model, entry.object)


def _most_recent_maker(store: Store, digest: str, user: Entry) -> Entry | None:
    """For an artifact that recorded no recipes: the newest that gave the object before its use."""
    return store.maker(digest, user)


def sft_role(model: Entry) -> str | None:
    """Whether an SFT model is the ``weak`` or the ``strong`` one; None where it is neither.

    It is what the stage recorded, and for a model made before that was recorded its label.
    """
    if model.stage not in SFT_STAGES:
        return None
    recorded = model.provenance.get("role")
    return str(recorded) if recorded else _ROLES_BY_LABEL.get(str(model.provenance.get("label")))


def ancestors(store: Store, entries: Sequence[Entry], *, learned_from: bool = False) -> list[Entry]:
    """``entries`` and everything they were made from, each recipe once, nearest first.

    ``learned_from`` leaves out what only decided how long a control was trained.
    """
    reached: dict[str, Entry] = {}
    waiting = list(entries)
    while waiting:
        current = waiting.pop(0)
        if current.recipe not in reached:
            reached[current.recipe] = current
            waiting += inputs(store, current, without=ONLY_COUNTED if learned_from else None)
    return list(reached.values())


def behind_row(store: Store, row: RowLineage) -> list[Entry]:
    """The evaluation, and its policy with everything below that.

    Not what the evaluation itself was first made from: two policies with equal bytes share one
    evaluation, and the other's way is not this row's.
    """
    if row.policy is None:
        return ancestors(store, [row.evaluation])
    return [row.evaluation, *ancestors(store, [row.policy])]


def budget(store: Store, policy: Entry) -> Budget:
    """What a trained policy was given: unique demonstrations and episodes of its whole lineage."""
    made_from = ancestors(store, [policy], learned_from=True)
    trained = list(own_models(store, policy))
    return Budget(
        demonstrations=_total(made_from, "demos", "demonstrations"),
        episodes=_episodes(made_from),
        optimizer_steps=sum(int(model.summary.get("optimizer_steps", 0)) for model in trained),
        tokens=sum(int(model.summary.get("tokens", 0)) for model in trained),
    )


def own_models(store: Store, policy: Entry) -> Iterator[Entry]:
    """The evaluated model and the models its weights passed through, last first."""
    current: Entry | None = policy
    seen: set[str] = set()
    while current is not None and current.recipe not in seen:
        seen.add(current.recipe)
        current = best_round(store, current) or current
        # An adopted model is its initial model: that one's own training is counted there.
        if "adopted" not in current.summary:
            yield current
        before = inputs(store, current, "init")
        current = next((entry for entry in before if entry.recipe not in seen), None)


def _episodes(entries: Sequence[Entry]) -> int:
    """Episodes that were played: more samples of an exploration hold those of fewer."""
    played: dict[str, int] = {}
    for entry in entries:
        if entry.kind == "rollouts":
            params = {k: v for k, v in entry.document.get("params", {}).items() if k != "m"}
            same = repr((entry.stage, sorted(params.items()), entry.inputs))
            same = same if entry.stage == "explore" else entry.recipe
            found = int(entry.summary.get("trajectories", 0))
            played[same] = max(played.get(same, 0), found)
    return sum(played.values())


def _total(entries: Sequence[Entry], kind: str, name: str) -> int:
    # What was stitched was tried before: all tries are episodes.
    return sum(
        int(entry.summary.get("played", entry.summary.get(name, 0)))
        for entry in entries
        if entry.kind == kind
    )

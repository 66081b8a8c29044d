"""Policies as people type them: a model, or a scripted or served one by name.

A recipe knows a policy by what it is and never by where it is: a model in the store by its object,
a model elsewhere by its digest, a served one by its id (and the revision that its user declares).
The place where each is found now is an option of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratree_cli.agents.registry import POLICIES, backend_of
from tratree_cli.commands.session import Session
from tratree_cli.errors import InputError

if TYPE_CHECKING:
    from tratree_store import Entry


def open_policies(
    session: Session, words: Sequence[str], revision: str | None = None
) -> list[Entry | str]:
    """The policies that ``words`` name: artifacts, or names for a recipe.

    ``revision`` is what the user says about the weights behind served models.
    """
    served = [word for word in words if (b := backend_of(word)) and b.kind == "served"]
    if revision and not served:
        raise InputError("--model-revision is about served models (openai:URL#model)")
    return [_open(session, word, revision) for word in words]


def _open(session: Session, word: str, revision: str | None) -> Entry | str:
    backend = backend_of(word)
    if backend is not None and backend.kind == "scripted":
        return word
    if backend is not None and backend.kind == "served":
        model = word.partition("#")[2] + (f"@{revision}" if revision else "")
        return _placed(session, f"{backend.name}:{model}", word)
    from tratree_store import StoreError

    try:
        return session.entry(word, ("model",))
    except (InputError, StoreError):
        found = _elsewhere(session, word)
        if found is None:
            _refuse_misspelt(word)
            raise
        return found


def _refuse_misspelt(word: str) -> None:
    """Name the policy or embedded model that ``word`` is nearly, if it is nearly one."""
    from tratree_cli.errors import did_you_mean
    from tratree_cli.models.load import EMBEDDED

    if word in POLICIES and POLICIES.get(word).kind != "engine":
        raise InputError(f"the policy '{word}' is written {POLICIES.get(word).form}")
    known = [*POLICIES.names(), *EMBEDDED]
    if ":" not in word and (near := did_you_mean(word, known)):
        raise InputError(
            f"no artifact, policy or model answers to '{word}'{near}; `tratree store ls` lists "
            f"artifacts, policies and embedded models are {', '.join(known)}"
        )


def _elsewhere(session: Session, word: str) -> str | None:
    """A model that is no artifact: embedded, a folder, or on the hub."""
    from pathlib import Path

    from tratree_cli.models.load import EMBEDDED, resolve_base

    if word not in EMBEDDED and not Path(word).is_dir() and word.count("/") != 1:
        return None
    base = resolve_base(word, download=not session.dry_run)
    return _placed(session, f"base:{base.identity}", str(base.folder))


def _placed(session: Session, name: str, place: str) -> str:
    session.use(policies={**session.runtime.options.policies, name: place})
    return name

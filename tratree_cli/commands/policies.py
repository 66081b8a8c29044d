"""Policies as people type them: a model, or a scripted or served one by name.

A recipe knows a policy by what it is and never by where it is: a model in the store by its object,
a model elsewhere by its digest, a served one by its id (and the revision that its user declares).
The place where each is found now is an option of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tratree_cli.agents.registry import POLICIES, backend_of
from tratree_cli.commands.registered import listed, policies
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
    except (InputError, StoreError) as error:
        found = _elsewhere(session, word)
        if found is None:
            if isinstance(error, StoreError):
                _refuse_unknown(word)
            raise
        return found


def _refuse_unknown(word: str) -> None:
    """Say which policies and models there are, and which of them ``word`` nearly is.

    What is written like a reference (``model:12ab``, ``tree@latest``) is left to the store.
    """
    from tratree_cli.errors import did_you_mean
    from tratree_cli.models.load import EMBEDDED

    if word in POLICIES and POLICIES.get(word).kind != "engine":
        raise InputError(f"the policy '{word}' is written {POLICIES.get(word).form}")
    if "@" in word:
        return
    name, colon, _ = word.partition(":")
    names = [record.name for record in POLICIES.records() if record.kind != "engine"]
    near = did_you_mean(name, names if colon else [*names, *EMBEDDED])
    if near or not colon:
        raise InputError(
            f"there is no policy or model '{word}'{near}; policies are {listed(policies())}, "
            f"embedded models {', '.join(EMBEDDED)}, and `tratree store ls model` lists the store's"
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

"""References: the words by which people mean an artifact, and how they are read.

``tree:3f9c``, ``3f9c2a``, ``weak``, ``study/seed1/weak``, ``tree@latest``, each with any number of
``^role`` behind it ("what went into it as that role"). A word that fits several artifacts is never
guessed at: the error lists them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from tratree_store.entries import Entry
from tratree_store.errors import AmbiguousReference, UnknownReference, VerificationError
from tratree_store.index import Index
from tratree_store.refs import PINS, Naming, Refs
from tratree_store.rows import Row

_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_MAX_CANDIDATES = 10


@dataclass(frozen=True)
class Resolver:
    """Reads references against one store's names and index.

    ``load(recipe, object)`` gives an entry, or None if its record is gone.
    """

    index: Index
    refs: Refs
    load: Callable[[str, str], Entry | None]

    def resolve(self, text: str, kind: str | None = None) -> Entry:
        """The entry that ``text`` means, of that kind if one is given.

        Raises ``UnknownReference`` or ``AmbiguousReference`` (with candidates).
        """
        base, *roles = text.strip().split("^")
        entry = self._base(base, kind if not roles else None)
        for role in roles:
            entry = self._input(entry, role)
        if kind is not None and entry.kind != kind:
            raise UnknownReference(f"{text!r} is a {entry.kind}, but a {kind} is wanted")
        return entry

    def of_object(self, digest: str, kind: str | None = None) -> Entry | None:
        """The newest entry with this object."""
        condition, values = "object = ?", [digest]
        if kind is not None:
            # "+": by the object's digits, of which there are few, and not through all of a kind.
            condition, values = f"{condition} AND +kind = ?", [digest, kind]
        return self._first(self.index.rows(condition, values))

    def maker(self, digest: str, user: Entry) -> Entry | None:
        """The newest entry with this object that was made before ``user``, else any other one.

        Not ``user`` itself: a stage may give back an object that it was given.
        """
        rows = [r for r in self.index.rows("object = ?", [digest]) if r.recipe != user.recipe]
        before = [row for row in rows if row.created <= user.created]
        return self._first(before) or self._first(rows)

    def latest(self, kind: str) -> Entry | None:
        """The newest entry of a kind."""
        return self._first(self.index.rows("kind = ?", [kind], limit=50))

    def _first(self, rows: list[Row]) -> Entry | None:
        return next((entry for row in rows if (entry := self.load(row.recipe, row.object))), None)

    def _base(self, text: str, kind: str | None) -> Entry:
        said, colon, word = text.rpartition(":")
        if text.endswith("@latest"):
            wanted = text.removesuffix("@latest")
            entry = self.latest(wanted)
            if entry is None:
                raise UnknownReference(self._no_kind(wanted))
            return entry
        of_kind = said if colon else None
        entry = self._named(word, of_kind)
        if entry is not None:
            return entry
        if _PREFIX.fullmatch(word):
            return self._prefixed(text, word, of_kind, kind)
        raise UnknownReference(self._unknown(text, word))

    def _named(self, word: str, kind: str | None) -> Entry | None:
        try:
            naming = self.refs.current(word) if word else None
        except VerificationError as error:
            raise VerificationError(
                f"{error}; `tratree store fsck --repair` restores what it meant"
            ) from error
        if naming is None:
            return None
        entry = self._entry_of(naming)
        if entry is None:
            raise UnknownReference(
                f"the name {word!r} means {naming.ref[:24]}, which is not in the store any more"
            )
        if kind is not None and entry.kind != kind:
            raise UnknownReference(f"the name {word!r} means a {entry.kind}, not a {kind}")
        return entry

    def _entry_of(self, naming: Naming) -> Entry | None:
        # A name says where the record lies; the index is asked only when it is not there.
        return self.load(naming.recipe, naming.object) or self.of_object(naming.object, naming.kind)

    def _prefixed(self, text: str, word: str, said: str | None, wanted: str | None) -> Entry:
        rows = self.index.rows("object >= ? AND object < ?", [word, word + "g"])
        if said is not None:
            rows = [row for row in rows if row.kind == said]
        found: dict[tuple[str, str], Row] = {}
        for row in rows:
            found.setdefault((row.kind, row.object), row)
        of_wanted = {key: row for key, row in found.items() if key[0] == wanted}
        choice = of_wanted or found
        if len(choice) > 1:
            refs = [f"{kind}:{digest}" for kind, digest in choice]
            shown = ", ".join(ref[: ref.index(":") + 17] for ref in refs[:_MAX_CANDIDATES])
            more = f" and {len(refs) - _MAX_CANDIDATES} more" if len(refs) > _MAX_CANDIDATES else ""
            raise AmbiguousReference(
                f"{text!r} fits {len(refs)} artifacts: {shown}{more}; write more digits", refs
            )
        for row in choice.values():
            entry = self.of_object(row.object, row.kind)
            if entry is not None:
                return entry
        raise UnknownReference(self._unknown(text, word))

    def _no_kind(self, wanted: str) -> str:
        """What to say of a kind of which the store has nothing: a misspelt one, or none yet."""
        present = sorted({row.kind for row in self.index.unordered()})
        near = get_close_matches(wanted, present, n=1, cutoff=0.6)
        hint = f"; did you mean {near[0] + '@latest'!r}?" if near else ""
        return f"there is no {wanted or 'artifact'} in the store yet{hint}"

    def _unknown(self, text: str, word: str) -> str:
        names = [name for name in self.refs.names() if not name.startswith(PINS)]
        near = get_close_matches(word, names, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else "`tratree store ls` lists what there is"
        return f"no artifact in the store answers to {text!r}; {hint}"

    def _input(self, entry: Entry, role: str) -> Entry:
        inputs = entry.inputs
        if not role and len(inputs) == 1:
            role = next(iter(inputs))
        if role not in inputs:
            known = ", ".join(inputs) or "none"
            raise UnknownReference(f"{entry.ref[:24]} has no input {role!r}; it has: {known}")
        digests = inputs[role]
        if len(digests) != 1:
            raise AmbiguousReference(
                f"{entry.ref[:24]} has {len(digests)} inputs as {role!r}: "
                f"{', '.join(d[:12] for d in digests)}; name one of them",
                digests,
            )
        found = self.maker(digests[0], entry)
        if found is None:
            raise UnknownReference(
                f"the input {role!r} of {entry.ref[:24]} ({digests[0][:12]}) is not in the store"
            )
        return found

"""What a check of the store may find, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        what: ``object``, ``record``, ``newer``, ``name``, ``index``, ``stray``, ``orphan``,
            ``leftover``, ``dangling``, ``unread``.
        where: the path, or the digest of the object.
        text: one sentence.
        error: whether the store is unclean because of it.
    """

    what: str
    where: str
    text: str
    error: bool = True

    def as_json(self) -> dict[str, Any]:
        """All fields."""
        return {"what": self.what, "where": self.where, "text": self.text, "error": self.error}


@dataclass(frozen=True)
class Report:
    """What a check found, and how much it looked at."""

    findings: tuple[Finding, ...]
    objects: int
    entries: int
    names: int

    @property
    def clean(self) -> bool:
        """Whether nothing is an error."""
        return not any(finding.error for finding in self.findings)

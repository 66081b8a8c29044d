"""When, by which version and on which machines a report was made: added whenever it is shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tratree_cli.reporting import lineage

if TYPE_CHECKING:
    from tratree_store import Entry, Store

_LIBRARIES = ("torch", "transformers", "trl")


def origin(store: Store, report: Entry) -> tuple[str, ...]:
    """Date, versions and machines, each a few words; what was not recorded is left out."""
    when = datetime.fromtimestamp(report.created, UTC)
    evaluations = lineage.inputs(store, report, "evaluation")
    facts = [f"Made {when:%Y-%m-%d %H:%M} UTC", *_versions(evaluations or [report], report)]
    machines = dict.fromkeys(
        str(machine)
        for entry in evaluations
        if (machine := entry.provenance.get("gpu") or entry.provenance.get("cpu"))
    )
    if machines:
        facts.append(f"evaluated on {', '.join(machines)}")
    return tuple(facts)


def _versions(evaluations: list[Entry], report: Entry) -> list[str]:
    """The versions that the report was made with, and those of the libraries that evaluated."""
    own = report.provenance
    facts = [f"tratree {own['tratree']}"] if own.get("tratree") else []
    facts += [f"Python {own['python']}"] if own.get("python") else []
    for name in _LIBRARIES:
        known = (entry.provenance.get("versions", {}).get(name) for entry in evaluations)
        versions = dict.fromkeys(str(version) for version in known if version)
        facts += [f"{name} {', '.join(versions)}"] if versions else []
    return facts

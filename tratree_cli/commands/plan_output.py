"""The plan of ``--dry-run``: what is cached, what would run, and what depends on what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from tratree_cli.commands.output import print_json
from tratree_cli.display.headlines import called
from tratree_cli.display.progress import expected, stdout_console
from tratree_cli.display.text import duration

if TYPE_CHECKING:
    from tratree_cli.pipeline.plan import PlanLine


def print_plan(lines: Sequence[PlanLine], *, as_json: bool, verbose: bool = False) -> None:
    """One line a node on stdout, in the order in which they would run; ``verbose`` cuts nothing."""
    if as_json:
        for line in lines:
            record = {
                "stage": line.node.stage.name,
                "label": line.node.label,
                "state": line.state,
                "ref": line.ref,
                "reason": line.reason,
                "seconds": line.seconds,
            }
            print_json(record)
        return
    from tratree_cli.methods.registry import title

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("state")
    for line in lines:
        cached = line.state == "cached"
        state = f"cached  {line.ref[: line.ref.index(':') + 13]}" if cached else line.state
        if line.missing:
            state = "depends on " + ", ".join(called(label, title) for label in line.missing)
        if line.reason:
            state += f" ({line.reason})"
        took = "" if cached else "?" if line.seconds is None else duration(line.seconds)
        words = Text(state, "dim" if cached else "")
        if not verbose:
            words.no_wrap, words.overflow = True, "ellipsis"
        table.add_row(Text(called(line.node.label, title)), took, words)
    console = stdout_console()
    console.print(table)
    missing = [line.seconds for line in lines if line.state != "cached"]
    took = f", {expected(missing)}" if missing else ""
    summary = f"{len(lines) - len(missing)} cached, {len(missing)} would run{took}"
    console.print(Text(summary))


def print_grouped_plan(lines: Sequence[PlanLine], jobs: int) -> None:
    """A study's plan: nodes with the same label in one line, and what all of it would take."""
    from tratree_cli.methods.registry import title

    groups: dict[str, list[PlanLine]] = {}
    for line in lines:
        groups.setdefault(line.node.label, []).append(line)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for column in ("cached", "to run", "each", "together"):
        table.add_column(column, justify="right")
    for label, members in groups.items():
        missing = [line for line in members if line.state != "cached"]
        known = _known(missing)
        each = duration(sum(known) / len(known)) if known else "?" if missing else ""
        total = duration(sum(known)) if known else ""
        cached = len(members) - len(missing)
        table.add_row(
            Text(called(label, title)),
            str(cached) if cached else "",
            str(len(missing)) if missing else "",
            each,
            total,
            style="" if missing else "dim",
        )
    stdout_console().print(table)
    missing = [line for line in lines if line.state != "cached"]
    known = _known(missing)
    words = f"{len(lines) - len(missing)} cached, {len(missing)} would run"
    if known:
        words += f", about {duration(sum(known))} of work going by earlier runs"
        if jobs > 1:
            words += f" ({duration(sum(known) / jobs)} or more with {jobs} jobs)"
    if len(known) < len(missing):
        words += f"; {len(missing) - len(known)} of unknown length"
    stdout_console().print(Text(words))


def _known(lines: Iterable[PlanLine]) -> list[float]:
    return [line.seconds for line in lines if line.seconds is not None]

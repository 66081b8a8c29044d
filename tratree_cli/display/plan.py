"""The plan of ``--dry-run``: what is cached, what would run, and what depends on what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson
from rich.table import Table
from rich.text import Text

from tratree_cli.display.progress import spoken_seconds, stdout_console

if TYPE_CHECKING:
    from tratree_cli.stages.runtime import PlanLine


def print_plan(lines: Sequence[PlanLine], *, as_json: bool) -> None:
    """One line a node on stdout, in the order in which they would run."""
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
            sys.stdout.write(orjson.dumps(record).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    table.add_column("state", overflow="fold")
    table.add_column("seconds before", justify="right")
    for line in lines:
        cached = line.state == "cached"
        state = f"cached  {line.ref[: line.ref.index(':') + 13]}" if cached else line.state
        if line.reason:
            state += f" ({line.reason})"
        took = spoken_seconds(line.seconds) if line.seconds is not None else ""
        table.add_row(Text(line.node.label), Text(state, "dim" if cached else ""), Text(took))
    stdout_console().print(table)
    missing = sum(line.state != "cached" for line in lines)
    known = [line.seconds for line in lines if line.seconds is not None]
    total = f", about {spoken_seconds(sum(known))} from earlier runs" if known else ""
    stdout_console().print(f"{len(lines) - missing} cached, {missing} would run{total}")

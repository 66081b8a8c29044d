"""The plan of ``--dry-run``: what is cached, what would run, and what depends on what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from tratree_cli.commands.output import content_console, print_content, print_json
from tratree_cli.display.headlines import called
from tratree_cli.display.progress import expected
from tratree_cli.display.text import duration

if TYPE_CHECKING:
    from tratree_cli.models.memory import Forecast
    from tratree_cli.pipeline.plan import PlanLine


WHOLE = 100
"""From so many columns on, a plan has room for references and every dependency."""


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
                "memory": memory_record(line.memory),
            }
            print_json(record)
        return
    from tratree_cli.methods.registry import title

    console = content_console()
    whole = verbose or console.width >= WHOLE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage", no_wrap=True)
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("state")
    for line in lines:
        cached = line.state == "cached"
        took = "" if cached else "?" if line.seconds is None else duration(line.seconds)
        words = Text(_state(line, title, whole), "dim" if cached else "")
        if not verbose:
            words.no_wrap, words.overflow = True, "ellipsis"
        table.add_row(Text(called(line.node.label, title)), took, memory_words(line.memory), words)
    console.print(table)
    if not whole:
        _print_reasons(lines, title)
    if verbose:
        _print_parts(lines, title)
    missing = [line.seconds for line in lines if line.state != "cached"]
    took = f", {expected(missing)}" if missing else ""
    summary = f"{len(lines) - len(missing)} cached, {len(missing)} would run{took}"
    console.print(Text(summary + most_memory(lines, title)))


def _state(line: PlanLine, title: Callable[[str], str], whole: bool) -> str:
    """What becomes of a node; if not ``whole``, without its reference and reason, and with the
    first of what it depends on."""
    if line.state == "cached":
        return f"cached  {line.ref[: line.ref.index(':') + 13]}" if whole else "cached"
    if line.missing:
        first, *more = (called(label, title) for label in line.missing)
        if not whole:
            return f"after {first}" + (f" +{len(more)}" if more else "")
        return f"depends on {', '.join([first, *more])}"
    return line.state + (f" ({line.reason})" if line.reason and whole else "")


def _print_reasons(lines: Sequence[PlanLine], title: Callable[[str], str]) -> None:
    """A line for each reason why something would run, and for what it is the reason."""
    stages: dict[str, list[str]] = {}
    for line in lines:
        if line.reason:
            stages.setdefault(line.reason, []).append(called(line.node.label, title))
    for reason, labels in stages.items():
        first, *more = labels
        words = f"{first}{f' +{len(more)}' if more else ''}: {reason}"
        print_content(Text(words, "dim", no_wrap=True, overflow="ellipsis"))


def memory_words(forecast: Forecast | None) -> str:
    """A forecast in a word: ``1.2 GB``, or ``≤ 1.2 GB`` where texts have their limits' lengths."""
    if forecast is None:
        return ""
    return ("≤ " if forecast.at_most else "") + gigabytes(forecast.total)


def gigabytes(size: int) -> str:
    """Bytes as people compare them with a machine's memory: 10^9 each, two figures at least."""
    return f"{size / 1e9:.2f} GB" if size < 9.95e9 else f"{size / 1e9:,.0f} GB"


def memory_record(forecast: Forecast | None) -> dict[str, Any] | None:
    """A forecast as JSON: the device, the bytes in all and in parts, whether limits decide."""
    if forecast is None:
        return None
    return {
        "device": forecast.device,
        "bytes": forecast.total,
        "at_most": forecast.at_most,
        "parts": dict(forecast.parts),
    }


def most_memory(lines: Sequence[PlanLine], title: Callable[[str], str]) -> str:
    """The stage that takes most memory, and on which device; empty where none is known."""
    known = [(line.memory.total, line) for line in lines if line.memory is not None]
    if not known:
        return ""
    line = max(known, key=lambda pair: pair[0])[1]
    forecast = line.memory
    assert forecast is not None, "only those were looked at"
    label = called(line.node.label, title)
    return f"; most memory: {memory_words(forecast)} on {forecast.device} ({label})"


def _print_parts(lines: Sequence[PlanLine], title: Callable[[str], str]) -> None:
    """What each forecast is made of, the largest part first."""
    for line in lines:
        if line.memory is None:
            continue
        parts = sorted(line.memory.parts.items(), key=lambda part: -part[1])
        words = ", ".join(f"{name} {gigabytes(size)}" for name, size in parts if size >= 5_000_000)
        print_content(Text(f"{called(line.node.label, title)}: {words}", "dim"))


def print_grouped_plan(lines: Sequence[PlanLine], jobs: int) -> None:
    """A study's plan: nodes with the same label in one line, and what all of it would take."""
    from tratree_cli.methods.registry import title

    groups: dict[str, list[PlanLine]] = {}
    for line in lines:
        groups.setdefault(line.node.label, []).append(line)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("stage")
    for column in ("cached", "to run", "each", "together", "memory"):
        table.add_column(column, justify="right")
    for label, members in groups.items():
        missing = [line for line in members if line.state != "cached"]
        known = _known(missing)
        each = duration(sum(known) / len(known)) if known else "?" if missing else ""
        total = duration(sum(known)) if known else ""
        cached = len(members) - len(missing)
        forecasts = [line.memory for line in missing]
        table.add_row(
            Text(called(label, title)),
            str(cached) if cached else "",
            str(len(missing)) if missing else "",
            each,
            total,
            memory_words(max((f for f in forecasts if f), key=lambda f: f.total, default=None)),
            style="" if missing else "dim",
        )
    print_content(table)
    missing = [line for line in lines if line.state != "cached"]
    known = _known(missing)
    words = f"{len(lines) - len(missing)} cached, {len(missing)} would run"
    if known:
        words += f", about {duration(sum(known))} of work going by earlier runs"
        if jobs > 1:
            words += f" ({duration(sum(known) / jobs)} or more with {jobs} jobs)"
    if len(known) < len(missing):
        words += f"; {len(missing) - len(known)} of unknown length"
    print_content(Text(words + most_memory(lines, title)))


def _known(lines: Iterable[PlanLine]) -> list[float]:
    return [line.seconds for line in lines if line.seconds is not None]

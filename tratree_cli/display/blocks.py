"""What can be shown: tables, figures, outlines and comparisons as plain values.

A block holds every number once; terminal, Markdown, LaTeX, CSV and HTML only differ in how they
draw it. Texts inside are data from models and environments: nothing here is markup, and each
renderer must escape all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

TEXT = "text"
NUMBER = "number"
PERCENT = "percent"
COUNT = "count"
SECONDS = "seconds"
P_VALUE = "p"
RATIO = "ratio"
BEST = "best"
SECOND = "second"
SIGNIFICANT = "significant"


@dataclass(frozen=True)
class Column:
    """A column's title and how its numbers are written (``TEXT``, ``NUMBER``, ``COUNT``, ...)."""

    title: str
    kind: str = NUMBER


@dataclass(frozen=True)
class Cell:
    """A figure (or words) with its interval or spread; all None prints as a dash.

    ``low`` and ``high`` bound a bootstrap interval over tasks, ``sd`` is the standard deviation
    over training seeds. ``mark`` is ``BEST``, ``SECOND``, ``SIGNIFICANT`` or empty.
    """

    value: float | str | None = None
    low: float | None = None
    high: float | None = None
    sd: float | None = None
    mark: str = ""


@dataclass(frozen=True)
class Row:
    """A table's row; ``paper`` marks figures that are the paper's and not one's own."""

    cells: tuple[Cell, ...]
    paper: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns; ``key`` names files and anchors, ``notes`` are sentences below it."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """One point of a series; ``x`` may be a category."""

    x: float | str
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """A named line, or the points of one ``group`` of policies (``Method.group``)."""

    name: str
    points: tuple[Point, ...]
    group: str = ""


@dataclass(frozen=True)
class Figure:
    """A chart: ``kind`` is ``lines`` or ``intervals`` (a point with its interval a row).

    Rows stand from the highest value to the lowest, whatever their series. ``alt`` says in words
    what it shows; ``mark`` is a value to compare with, named ``mark_label``.
    """

    key: str
    title: str
    kind: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    alt: str = ""
    notes: tuple[str, ...] = ()
    mark: float | None = None
    mark_label: str = ""


@dataclass(frozen=True)
class Branch:
    """A node of an outline, children inside: how a trajectory tree is drawn.

    ``text`` is the action, ``detail`` what hovering or unfolding shows (observation, thought),
    ``value`` the mean G through the node in [0, 1], ``visits`` its trajectories. ``best`` marks
    the selected path, ``divergence`` a node where branches part with different outcomes, by ``gap``
    in mean G. ``seen`` is what the action showed; ``ineffective`` says that it never had an effect.
    """

    text: str
    detail: str = ""
    value: float | None = None
    visits: int | None = None
    best: bool = False
    divergence: bool = False
    children: tuple[Branch, ...] = ()
    seen: str = ""
    ineffective: bool = False
    gap: float = 0.0


@dataclass(frozen=True)
class Outline:
    """A trajectory tree (or another hierarchy) with a caption."""

    key: str
    title: str
    root: Branch
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Turn:
    """One step of one policy in a comparison; ``differs`` from the first difference on.

    A turn may stand for ``times`` equal ones in a row; ``ineffective`` turns changed nothing.
    """

    action: str
    thought: str = ""
    observation: str = ""
    score: float | None = None
    differs: bool = False
    times: int = 1
    ineffective: bool = False


@dataclass(frozen=True)
class Lane:
    """One policy's trajectory in a comparison."""

    label: str
    turns: tuple[Turn, ...]
    outcome: str = ""


@dataclass(frozen=True)
class Comparison:
    """Several policies on one task, side by side (Fig. 5)."""

    key: str
    title: str
    instruction: str
    lanes: tuple[Lane, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gallery:
    """Comparisons on several tasks, to be folded away; each one's ``title`` says what it shows."""

    key: str
    title: str
    tasks: tuple[Comparison, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StripStep:
    """One step of what was done: its ``figure``, what that counts, and a sentence about it."""

    figure: str
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Strip:
    """What was done, from left to right, with the number that each step gave."""

    key: str
    title: str
    steps: tuple[StripStep, ...]
    notes: tuple[str, ...] = ()


Block = Table | Figure | Outline | Comparison | Gallery | Strip

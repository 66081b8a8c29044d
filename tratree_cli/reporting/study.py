"""A study: the cells of methods × training seeds × swept settings, as one graph that is pulled.

Cells are nodes like all others, so what they have in common (demonstrations, weak model, rollouts,
trees) is made once, whatever the number of cells, and a study that was stopped goes on where it
was. A sweep changes one parameter at a time around the recipe; the full product of several sweeps
is an option, because it grows fast. Whether a method depends on a swept parameter is not declared
anywhere: its graph either changes or it does not, and a cell that does not change is no new cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from tratree_cli.config import FORMER_NAMES, Config, parse_assignment
from tratree_cli.errors import InputError
from tratree_cli.methods.registry import ALL, method, methods, with_controls
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.reporting.rounds_and_chains import models_of, parts, with_rounds
from tratree_cli.sections import AS_SEED, SFT_ROLES
from tratree_cli.stages import method_graph

DATA_SEED = "train.data_seed"
IDENTITY = ("env", "models", "eval.split", "eval.protocol")
"""Sections and parameters that a table has rows or columns of its own for: never 'varied'."""


@dataclass(frozen=True)
class Sweep:
    """One parameter and the values it takes beside the recipe's own."""

    key: str
    values: tuple[Any, ...]

    def at(self, config: Config, value: Any) -> Config:
        """The configuration with the parameter at ``value``."""
        nested: Any = value
        for part in reversed(self.key.split(".")):
            nested = {part: nested}
        return config.with_values(nested, f"--sweep {self.key}")

    def value_in(self, config: Config) -> Any:
        """What the parameter is in ``config``; None for a plug-in's setting that it does not name.

        Settings of environments and plug-ins stand in tables below their section.
        """
        value: Any = config
        for part in self.key.split("."):
            if isinstance(value, Mapping):
                value = value.get(part)
            elif value is not None:
                value = getattr(value, part)
        return value


@dataclass(frozen=True)
class StudyCell:
    """One evaluation of a study.

    ``settings`` are the swept parameters that this method depends on, ``varied`` those of them
    whose value is not the recipe's; tables keep such cells out of the main comparison.
    """

    method: str
    evaluation: Node
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] = ()
    seed: int = 0
    data_seed: int | None = None
    """The order of rows, where the study has several and the method depends on it."""

    @property
    def policy(self) -> Node | None:
        """The node of the model that is evaluated; None for a scripted policy."""
        return next(self.evaluation.upstream(), None)


def parse_sweep(text: str, config: Config) -> Sweep:
    """``section.key=value,value,...``; every value must fit the parameter."""
    path, equals, raw = text.partition("=")
    literals = [literal.strip() for literal in raw.split(",")]
    key = FORMER_NAMES.get(path.strip(), path.strip())
    if key == "seed":
        raise InputError(f"--sweep {text}: use --seeds N for training seeds")
    if key == DATA_SEED:
        raise InputError(
            f"--sweep {text}: use --orders N for orders of rows, which are averaged within a seed"
        )
    section, _, name = key.partition(".")
    if own := _own_values(config, section, name):
        of, places = own
        raise InputError(
            f"--sweep {text}: the recipe has values of its own for single {of}; sweep "
            f"{' or '.join(f'{place}.{name}' for place in places)}"
        )
    if not equals or "." not in key or not all(literals):
        raise InputError(f"--sweep {text}: expected section.key=value,value,...")
    if key == "env.name":
        raise InputError(
            f"--sweep {text}: run every environment by itself (their recipes differ) and put them "
            "together with tratree report --existing"
        )
    values: list[Any] = []
    for literal in literals:
        changed = config.with_values(parse_assignment(f"{key}={literal}"), f"--sweep {text}")
        value = Sweep(key, ()).value_in(changed)
        if value in values:
            raise InputError(f"--sweep {text}: the value {literal} is there twice")
        values.append(value)
    sweep = Sweep(key, tuple(values))
    if sweep.value_in(config) is None:
        raise InputError(
            f"--sweep {text}: the recipe does not name {key}; say its own value with --set {key}=…"
        )
    return sweep


def _own_values(config: Config, section: str, name: str) -> tuple[str, list[str]] | None:
    """What has a value of its own beside that of the section, and the places of these values."""
    if section == "sft":
        of, places = "models", [f"sft.{r}" for r in SFT_ROLES if name in getattr(config.sft, r)]
    else:
        rules = config.pairs.rules if section == "pairs" else {}
        of, places = "pair rules", [f"pairs.rules.{rule}" for rule in rules if name in rules[rule]]
    return (of, places) if places else None


def parse_sweeps(texts: Sequence[str], config: Config) -> tuple[Sweep, ...]:
    """All ``--sweep`` options; a parameter may be swept once."""
    sweeps = tuple(parse_sweep(text, config) for text in texts)
    keys = [sweep.key for sweep in sweeps]
    for key in keys:
        if keys.count(key) > 1:
            raise InputError(
                f"--sweep {key}: the parameter is swept twice; give all values at once"
            )
    return sweeps


def chosen_methods(
    text: str | None, config: Config, controls: bool | None = None
) -> tuple[str, ...]:
    """The methods named by ``--methods`` (``all``: every one), or the recipe's, and controls.

    ``controls`` puts all of their controls beside them, or none; None leaves it to the recipe.
    """
    names = [name.strip() for name in text.split(",")] if text else list(config.report.methods)
    if names == [ALL]:
        names = [record.name for record in methods()]
    for name in names:
        method(name)
        if names.count(name) > 1:
            raise InputError(f"--methods: the method {name} is there twice")
    wanted = config.report.controls if controls is None else [ALL] if controls else []
    return with_rounds(config, with_controls(names, wanted), controls=controls is not False)


def study_cells(
    config: Config,
    names: Sequence[str],
    *,
    controls: bool | None = None,
    restart: bool | None = None,
    seeds: int = 1,
    orders: int | None = None,
    sweeps: Sequence[Sweep] = (),
    grid: bool = False,
) -> list[StudyCell]:
    """The cells of a study, or those of every link of its chain (``parts``), each once."""
    beside = controls is not False
    distinct: dict[tuple[Any, ...], StudyCell] = {}
    for part in parts(
        config, names, controls=beside, restart=beside if restart is None else restart
    ):
        for cell in cells(
            part.config, part.methods, seeds=seeds, orders=orders, sweeps=sweeps, grid=grid
        ):
            own = models_of(part.config, cell.method)
            cell = replace(cell, settings={**own, **cell.settings})
            distinct.setdefault((cell.method, cell.evaluation.key, *own.items()), cell)
    return list(distinct.values())


def cells(
    config: Config,
    names: Sequence[str],
    *,
    seeds: int = 1,
    orders: int | None = None,
    sweeps: Sequence[Sweep] = (),
    grid: bool = False,
) -> list[StudyCell]:
    """Every distinct cell: per seed the recipe itself, then the swept settings around it.

    ``config.seed`` is the first seed. ``orders`` trains what depends on the order of rows with so
    many of them, counted from ``train.data_seed`` or from 0; None leaves it to the configuration.
    Scripted policies know no training seed, and methods that do not depend on a swept parameter
    have no cell of their own for it.
    """
    distinct: dict[tuple[str, str], StudyCell] = {}
    effective: set[str] = set()
    for own, name, data_seed in _rows(config, names, seeds, orders):
        recipe_values = {sweep.key: sweep.value_in(own) for sweep in sweeps}
        base = method_graph.evaluation(own, name)
        swept = [
            (settings, method_graph.evaluation(changed, name))
            for settings, changed in _plans(own, sweeps, grid)
        ]
        # Only where nothing else differs does a changed graph show what it depends on.
        dependent = {
            key
            for settings, node in swept
            for key in settings
            if node.key != base.key and _only(key, settings, recipe_values)
        }
        effective |= dependent
        dependent_values = {key: value for key, value in recipe_values.items() if key in dependent}
        for settings, node in [({}, base), *swept]:
            own_settings = {
                **dependent_values,
                **{k: v for k, v in settings.items() if k in dependent_values},
            }
            varied = tuple(
                key
                for key, value in own_settings.items()
                if value != recipe_values[key] and not _identifies(key)
            )
            row = method_graph.played_as(name, node)
            distinct.setdefault(
                (row, node.key), StudyCell(row, node, own_settings, varied, own.seed, data_seed)
            )
    _refuse_ineffective(config, names, sweeps, effective)
    return list(distinct.values())


def _rows(
    config: Config, names: Sequence[str], seeds: int, orders: int | None
) -> Iterator[tuple[Config, str, int | None]]:
    """The configuration of each seed, method and order of rows that the method depends on."""
    for seed in range(config.seed, config.seed + seeds):
        own = replace(config, seed=seed)
        for name in names:
            if orders is None or not _depends_on_order(own, name):
                yield own, name, None
                continue
            first = max(config.train.data_seed, 0)
            for data_seed in range(first, first + orders):
                yield _ordered(own, data_seed), name, data_seed


def _depends_on_order(config: Config, name: str) -> bool:
    """Whether rows are learned in ``train.data_seed``'s order anywhere in the method's graph."""
    given, as_seed = (_ordered(config, data_seed) for data_seed in (0, AS_SEED))
    return method_graph.evaluation(given, name).key != method_graph.evaluation(as_seed, name).key


def _ordered(config: Config, data_seed: int) -> Config:
    return replace(config, train=replace(config.train, data_seed=data_seed))


def labels(cells: Sequence[StudyCell]) -> dict[str, str]:
    """What nodes are called while they run: their label with the seed and setting they belong to.

    Keys are node keys; a node that several seeds or settings share keeps its plain label.
    """
    marks: dict[str, list[tuple[str, ...]]] = {}
    nodes: dict[str, Node] = {}
    for cell in cells:
        order_of_rows = () if cell.data_seed is None else (f"order {cell.data_seed}",)
        varied = (f"{key}={cell.settings[key]}" for key in cell.varied)
        mark = (f"seed {cell.seed}", *order_of_rows, *varied)
        for node in order([cell.evaluation]):
            nodes[node.key] = node
            marks.setdefault(node.key, []).append(mark)
    several = len({cell.seed for cell in cells}) > 1
    named = {}
    for key, owners in marks.items():
        common = [mark for mark in owners[0] if all(mark in owner for owner in owners)]
        shown = [mark for mark in common if several or not mark.startswith("seed ")]
        named[key] = ", ".join((nodes[key].label, *shown))
    return named


def _plans(
    config: Config, sweeps: Sequence[Sweep], grid: bool
) -> Iterator[tuple[dict[str, Any], Config]]:
    if grid:
        # With the recipe's own values among them, so that single changes are there too.
        ranges = [
            [own, *(value for value in sweep.values if value != own)]
            for sweep in sweeps
            for own in [sweep.value_in(config)]
        ]
        for values in product(*ranges):
            changed = config
            for sweep, value in zip(sweeps, values, strict=True):
                changed = sweep.at(changed, value)
            yield {s.key: v for s, v in zip(sweeps, values, strict=True)}, changed
        return
    for sweep in sweeps:
        for value in sweep.values:
            yield {sweep.key: value}, sweep.at(config, value)


def _only(key: str, settings: Mapping[str, Any], recipe_values: Mapping[str, Any]) -> bool:
    """Whether ``key`` is the only setting that differs from the recipe's own."""
    return [name for name, value in settings.items() if value != recipe_values[name]] == [key]


def _refuse_ineffective(
    config: Config, names: Sequence[str], sweeps: Sequence[Sweep], effective: set[str]
) -> None:
    """A sweep that changes no method would print a table that looks like a finding."""
    for sweep in sweeps:
        others = any(value != sweep.value_in(config) for value in sweep.values)
        if others and sweep.key not in effective:
            raise InputError(
                f"--sweep {sweep.key}: none of the methods ({', '.join(names)}) depends on it"
            )


def _identifies(key: str) -> bool:
    return key in IDENTITY or key.partition(".")[0] in IDENTITY

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

from tratree_cli.config import Config, parse_assignment
from tratree_cli.errors import InputError
from tratree_cli.pipeline.graph import Node, order
from tratree_cli.stages import methods

IDENTITY = ("env", "models", "eval.split")
"""Sections and parameters that a table has rows or columns of its own for: never 'varied'."""


@dataclass(frozen=True)
class Sweep:
    """One parameter and the values it takes beside the recipe's own."""

    key: str
    values: tuple[Any, ...]

    def at(self, config: Config, value: Any) -> Config:
        """The configuration with the parameter at ``value``."""
        section, _, key = self.key.partition(".")
        return config.with_values({section: {key: value}}, f"--sweep {self.key}")

    def value_in(self, config: Config) -> Any:
        """What the parameter is in ``config``."""
        section, _, key = self.key.partition(".")
        return getattr(getattr(config, section), key)


@dataclass(frozen=True)
class Cell:
    """One evaluation of a study.

    ``settings`` are the swept parameters that this method depends on, ``varied`` those of them
    whose value is not the recipe's; tables keep such cells out of the main comparison.
    """

    method: str
    evaluation: Node
    settings: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] = ()
    seed: int = 0

    @property
    def policy(self) -> Node | None:
        """The node of the model that is evaluated; None for a scripted policy."""
        return next(self.evaluation.upstream(), None)


def parse_sweep(text: str, config: Config) -> Sweep:
    """``section.key=value,value,...``; every value must fit the parameter."""
    path, equals, raw = text.partition("=")
    words = [word.strip() for word in raw.split(",")]
    key = path.strip()
    if key == "seed":
        raise InputError(f"--sweep {text}: use --seeds N for training seeds")
    if not equals or "." not in key or not all(words):
        raise InputError(f"--sweep {text}: expected section.key=value,value,...")
    if key == "env.name":
        raise InputError(
            f"--sweep {text}: run every environment by itself (their recipes differ) and put them "
            "together with tratree report --existing"
        )
    values = []
    for word in words:
        changed = config.with_values(parse_assignment(f"{key}={word}"), f"--sweep {text}")
        value = Sweep(key, ()).value_in(changed)
        if value in values:
            raise InputError(f"--sweep {text}: the value {word} is there twice")
        values.append(value)
    return Sweep(key, tuple(values))


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


def chosen_methods(text: str | None, config: Config) -> tuple[str, ...]:
    """The methods named by ``--methods`` (``all``: every one), or the recipe's."""
    names = [name.strip() for name in text.split(",")] if text else list(config.report.methods)
    if names == ["all"]:
        return tuple(methods.METHODS)
    for name in names:
        methods.method(name)
        if names.count(name) > 1:
            raise InputError(f"--methods: the method {name} is there twice")
    return tuple(names)


def cells(
    config: Config,
    names: Sequence[str],
    *,
    seeds: int = 1,
    sweeps: Sequence[Sweep] = (),
    grid: bool = False,
) -> list[Cell]:
    """Every distinct cell: per seed the recipe itself, then the swept settings around it.

    ``config.seed`` is the first seed. Scripted policies know no training seed, and methods that do
    not depend on a swept parameter have no cell of their own for it.
    """
    found: dict[tuple[str, str], Cell] = {}
    moved: set[str] = set()
    for seed in range(config.seed, config.seed + seeds):
        own = replace(config, seed=seed)
        home = {sweep.key: sweep.value_in(own) for sweep in sweeps}
        plans = list(_plans(own, sweeps, grid))
        for name in names:
            base = methods.evaluation(own, name)
            swept = [(settings, methods.evaluation(other, name)) for settings, other in plans]
            # Only where nothing else differs does a changed graph show what it depends on.
            dependent = {
                key
                for settings, node in swept
                for key in settings
                if node.key != base.key and _only(key, settings, home)
            }
            moved |= dependent
            at_home = {key: value for key, value in home.items() if key in dependent}
            for settings, node in [({}, base), *swept]:
                own_settings = {**at_home, **{k: v for k, v in settings.items() if k in at_home}}
                varied = tuple(
                    key
                    for key, value in own_settings.items()
                    if value != home[key] and not _identifies(key)
                )
                found.setdefault((name, node.key), Cell(name, node, own_settings, varied, seed))
    _refuse_idle(config, names, sweeps, moved)
    return list(found.values())


def labels(found: Sequence[Cell]) -> dict[str, str]:
    """What nodes are called while they run: their label with the seed and setting they belong to.

    Keys are node keys; a node that several seeds or settings share keeps its plain label.
    """
    marks: dict[str, list[tuple[str, ...]]] = {}
    nodes: dict[str, Node] = {}
    for cell in found:
        mark = (f"seed {cell.seed}", *(f"{key}={cell.settings[key]}" for key in cell.varied))
        for node in order([cell.evaluation]):
            nodes[node.key] = node
            marks.setdefault(node.key, []).append(mark)
    several = len({cell.seed for cell in found}) > 1
    spoken = {}
    for key, owners in marks.items():
        common = [word for word in owners[0] if all(word in owner for owner in owners)]
        told = [word for word in common if several or not word.startswith("seed ")]
        spoken[key] = ", ".join((nodes[key].label, *told))
    return spoken


def _plans(
    config: Config, sweeps: Sequence[Sweep], grid: bool
) -> Iterator[tuple[dict[str, Any], Config]]:
    if grid:
        # With the recipe's own values among them, so that single changes are there too.
        ranges = [
            [home, *(value for value in sweep.values if value != home)]
            for sweep in sweeps
            for home in [sweep.value_in(config)]
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


def _only(key: str, settings: Mapping[str, Any], home: Mapping[str, Any]) -> bool:
    """Whether ``key`` is the only setting that differs from the recipe's own."""
    return [name for name, value in settings.items() if value != home[name]] == [key]


def _refuse_idle(
    config: Config, names: Sequence[str], sweeps: Sequence[Sweep], moved: set[str]
) -> None:
    """A sweep that changes no method would print a table that looks like a finding."""
    for sweep in sweeps:
        others = any(value != sweep.value_in(config) for value in sweep.values)
        if others and sweep.key not in moved:
            raise InputError(
                f"--sweep {sweep.key}: none of the methods ({', '.join(names)}) depends on it"
            )


def _identifies(key: str) -> bool:
    return key in IDENTITY or key.partition(".")[0] in IDENTITY

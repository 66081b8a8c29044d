"""Stages as nodes of a graph that is pulled: what to compute, from what, under which key.

A ``Stage`` is a declared name, version, kind and body. A ``Node`` is one use of it: parameters that
are keyed, inputs that are either other nodes (their default producers) or artifacts that exist,
and the effective configuration, which is recorded and inherited but not keyed. Nothing here runs
anything; ``pipeline.runtime`` does.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import orjson

from tratree_cli.errors import InputError
from tratree_cli.pipeline.parameters import key_document

if TYPE_CHECKING:
    from tratree_store import Entry, Recipe

    from tratree_cli.envs.protocol import EnvironmentSpec
    from tratree_cli.models.memory import Forecast

_Parameters = TypeVar("_Parameters")

Progress = Callable[[int, int, str], None]
"""``progress(done, total, note)``; ``total`` 0 means that the end is not known."""


@dataclass(frozen=True)
class Stage:
    """A kind of computation. ``version`` is raised when its meaning changes, never silently."""

    name: str
    version: int
    kind: str
    body: str
    """``module:function``, imported only when the stage really runs."""

    parameters: type[Any]
    """The frozen dataclass of its parameters (``pipeline.parameters``)."""

    memory: str = ""
    """``module:function`` of a ``Forecasts``, for a stage that computes with models; it is asked
    by a plan and changes nothing."""

    @property
    def module(self) -> str:
        """The module of the body."""
        return self.body.partition(":")[0]

    def load(self) -> Callable[[Job[Any]], Result]:
        body: Callable[[Job[Any]], Result] = _function(self.body)
        return body

    def load_memory(self) -> Forecasts | None:
        """What forecasts the memory of a node of this stage, if anything does."""
        forecasts: Forecasts | None = _function(self.memory) if self.memory else None
        return forecasts


def _function(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


class Configuration(Protocol):
    """The effective configuration, which is recorded and inherited but not keyed."""

    @property
    def recipe(self) -> str: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Locations:
    """Where the things lie here that a node is keyed with by their content; no key and no record.

    ``environment`` names the folder of its data, ``prompt`` is the folder of the prompt,
    ``base_models`` are the names or folders that a base model may have.
    """

    environment: EnvironmentSpec | None = None
    prompt: Path | None = None
    base_models: tuple[str, ...] = ()


@dataclass(frozen=True)
class Node:
    """One use of a stage: everything its recipe is made of, plus what is only recorded."""

    stage: Stage
    label: str
    config: Configuration
    params: Any
    """A value of the stage's parameter type."""
    inputs: Mapping[str, Sequence[Node | Entry]] = field(default_factory=dict)
    environment: Mapping[str, Any] | None = None
    models: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)
    """Where the user's files lie that ``params`` key by digest; a path is never keyed."""
    modules: Sequence[str] = ()
    """Modules that the body finds by name in a registry; their code is recorded with its own."""
    locations: Locations = Locations()
    recorded: Mapping[str, Any] = field(default_factory=dict)
    """What else the provenance of the artifact says of it, and no key."""

    @cached_property
    def key_params(self) -> Mapping[str, Any]:
        """The parameters as they are keyed and stored."""
        return key_document(self.params)

    @cached_property
    def key(self) -> str:
        """What the node computes, by structure: two branches that ask for the same thing share it.

        Unlike the recipe it is known before anything has run, because an input that is still to be
        computed counts by its own key.
        """
        sources = {
            role: [s.key if isinstance(s, Node) else s.object for s in given]
            for role, given in self.inputs.items()
        }
        document = [
            self.stage.name,
            self.stage.version,
            self.key_params,
            sources,
            self.environment,
            self.models,
            self.templates,
        ]
        try:
            data = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
        except TypeError as error:
            raise InputError(
                f"{self.label}: a parameter cannot be part of a key ({error})"
            ) from error
        return hashlib.sha256(data).hexdigest()

    def upstream(self) -> Iterator[Node]:
        """The nodes this one depends on directly."""
        for sources in self.inputs.values():
            for source in sources:
                if isinstance(source, Node):
                    yield source

    def recipe(self, entries: Mapping[str, Sequence[Entry]]) -> Recipe:
        """The recipe, once every input is an artifact."""
        from tratree_store import Recipe

        return Recipe(
            stage=self.stage.name,
            version=self.stage.version,
            kind=self.stage.kind,
            params=self.key_params,
            inputs={role: [entry.object for entry in given] for role, given in entries.items()},
            templates=self.templates,
            models=self.models,
            environment=self.environment,
        )


def order(roots: Sequence[Node]) -> list[Node]:
    """Every distinct node below ``roots`` once, inputs before what needs them."""
    seen: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if node.key in seen:
            return
        for source in node.upstream():
            visit(source)
        seen[node.key] = node

    for root in roots:
        visit(root)
    return list(seen.values())


@dataclass(frozen=True)
class Options:
    """How to run, without any effect on what comes out (recorded, never keyed)."""

    workers: int = 1
    device: str = "auto"
    threads: int = 1
    engine: str = "local"
    address: str | None = None
    policies: Mapping[str, str] = field(default_factory=dict)
    """Where the policies that a recipe names are now: a server's address, a model's folder."""
    track: tuple[str, ...] = ()


Found = Callable[["Node | Entry"], "Entry | None"]
"""The artifact of a node as far as the store has it; an artifact is itself."""
Forecasts = Callable[["Node", "Options", Found], "Forecast | None"]
"""What computing a node would take of memory; None where its model's shape is not known."""


@dataclass(frozen=True)
class Job(Generic[_Parameters]):
    """What a stage body is handed: its parameters, where to read and where to write."""

    node: Node
    inputs: Mapping[str, Sequence[Entry]]
    out: Path
    store_root: Path
    scratch: Callable[[Mapping[str, Any]], Path]
    options: Options
    progress: Progress
    realise: Callable[[Node], Entry]
    """The artifact of a node that only the body could decide on: found in the store or computed."""

    @property
    def params(self) -> _Parameters:
        parameters: _Parameters = self.node.params
        return parameters

    @property
    def environment(self) -> EnvironmentSpec:
        """The environment to open; it is an error of the stage to have none."""
        assert self.node.locations.environment is not None, f"{self.node.label}: no environment"
        return self.node.locations.environment

    @property
    def prompt(self) -> Path:
        """The folder of the prompt; it is an error of the stage to have none."""
        assert self.node.locations.prompt is not None, f"{self.node.label}: no prompt"
        return self.node.locations.prompt

    def one(self, role: str) -> Entry:
        """The only input in ``role``."""
        (entry,) = self.inputs[role]
        return entry

    def maybe(self, role: str) -> Entry | None:
        given = self.inputs.get(role, ())
        return given[0] if given else None


@dataclass(frozen=True)
class Result:
    """What a body reports: a summary for people and machines, or an artifact it stands for.

    ``adopt`` makes the recipe's result an object that exists already (the failure-safe case).
    ``partial`` marks an artifact that is usable but incomplete (exit 3). ``said`` is false where
    the warnings are part of what will be shown: they are recorded all the same.
    """

    summary: Mapping[str, Any]
    warnings: Sequence[str] = ()
    adopt: Entry | None = None
    partial: bool = False
    said: bool = True

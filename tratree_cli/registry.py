"""Records by name, declared as entry points: by this package as by any other that is installed.

A registry knows the names from the packages' metadata, which imports nothing; a record's module is
imported when the record is asked for. What a package declares under a name must be an instance of
the registry's type that bears that name, so that a file and its registration cannot drift apart.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Generic, Protocol, TypeVar

from tratree_cli.errors import InputError, did_you_mean


class Named(Protocol):
    """What a registry holds; ``rank`` orders lists, records of equal rank stand by name."""

    @property
    def name(self) -> str: ...

    @property
    def rank(self) -> int: ...


Record = TypeVar("Record", bound=Named)

UNRANKED = 1000
"""The rank of a record that names none: after the product's own."""


class Registry(Generic[Record]):
    """The records of type ``kind`` that entry points of ``group`` declare.

    ``noun`` names one of them in messages ("method", "pair rule").
    """

    def __init__(self, group: str, noun: str, kind: type[Record]) -> None:
        self.group = group
        self.noun = noun
        self._kind = kind
        self._loaded: dict[EntryPoint, Record] = {}

    def names(self) -> list[str]:
        """Every declared name, sorted; nothing is imported."""
        return sorted(self._declared())

    def __contains__(self, name: str) -> bool:
        return name in self._declared()

    def get(self, name: str) -> Record:
        """The record of this name; ``InputError`` names the nearest one, or why it has none."""
        declared = self._declared()
        if name not in declared:
            raise InputError(
                f"there is no {self.noun} '{name}'{did_you_mean(name, declared)}; "
                f"there are {', '.join(record.name for record in self.records())}"
            )
        return self._load(declared[name])

    def records(self) -> list[Record]:
        """All records, by rank and then by name."""
        loaded = [self._load(point) for point in self._declared().values()]
        return sorted(loaded, key=lambda record: (record.rank, record.name))

    def _declared(self) -> dict[str, EntryPoint]:
        points: dict[str, EntryPoint] = {}
        for point in declared(self.group):
            if point.name in points:
                raise InputError(
                    f"two packages declare the {self.noun} '{point.name}': {_package(point)} and "
                    f"{_package(points[point.name])}; uninstall one of them"
                )
            points[point.name] = point
        if not points:
            raise InputError(
                f"the installation declares no {self.noun} (entry points {self.group}); "
                "install tratree again"
            )
        return points

    def _load(self, point: EntryPoint) -> Record:
        if point not in self._loaded:
            where = f"the {self.noun} '{point.name}' of {_package(point)} ({point.value})"
            try:
                record = point.load()
            except (ImportError, AttributeError) as error:
                raise InputError(
                    f"{where} cannot be loaded: {error}; repair or uninstall that package"
                ) from error
            if not isinstance(record, self._kind) or record.name != point.name:
                raise InputError(
                    f"{where} is no {self._kind.__name__} of that name; declare one under its name"
                )
            self._loaded[point] = record
        return self._loaded[point]


def declared(group: str) -> EntryPoints:
    """The entry points of ``group`` in all installed packages."""
    points: EntryPoints = _all_entry_points(tuple(sys.path)).select(group=group)
    return points


@cache
def _all_entry_points(path: tuple[str, ...]) -> Any:
    """All groups at once, of a type that Python 3.12 replaced; ``select`` is common to both.

    Reading all packages' metadata once per search path is enough for every registry.
    """
    return entry_points()


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "a package"

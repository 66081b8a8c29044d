"""The methods by name: entry points of the group ``tratree.methods``, the paper's as any other's.

Reports also show policies that are no method (a served model, a person's own): these have their own
name as title and stand after all methods.
"""

from __future__ import annotations

from tratree_cli.methods.method import Method
from tratree_cli.registry import Registry

METHODS = Registry("tratree.methods", "method", Method)

DEFAULT = "tree-dpo"
"""The paper's own: what is trained or evaluated where no method is named."""
BASELINE = "sft-strong"
"""What every method is compared with."""
WEAK = "sft-weak"
"""Where the recovered performance gap begins."""
CEILING = "ceiling"
"""Where it ends."""


def method(name: str) -> Method:
    """The method of this name; ``InputError`` with the nearest one otherwise."""
    return METHODS.get(name)


def methods() -> tuple[Method, ...]:
    """Every method that a study can make, in the order of tables."""
    return tuple(record for record in METHODS.records() if not record.own_data)


def trained_methods() -> list[str]:
    """The names of the methods that ``train-strong`` trains, in the order of tables."""
    return [record.name for record in METHODS.records() if record.trained]


def own_data_method() -> Method:
    """The method that trains on pairs which a person brings."""
    return next(record for record in METHODS.records() if record.own_data)


def is_method(name: str) -> bool:
    """Whether ``name`` is a method that a study can make."""
    return name in METHODS and not METHODS.get(name).own_data


def title(name: str) -> str:
    """The printed name of a method or of any other policy."""
    return METHODS.get(name).title if name in METHODS else name


def rank(name: str) -> tuple[int, str]:
    """Its place in a table; policies that are no method come last, all in one place."""
    if not is_method(name):
        return (LAST, "")
    record = METHODS.get(name)
    return (record.rank, record.name)


LAST = 1_000_000


def shown_in(place: str) -> tuple[Method, ...]:
    """The methods of a table or figure of the paper (a field of ``PaperPlaces``), in its order."""
    shown = [record for record in METHODS.records() if getattr(record.paper, place)]
    return tuple(sorted(shown, key=lambda record: int(getattr(record.paper, place))))

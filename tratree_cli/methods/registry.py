"""The methods by name: entry points of the group ``tratree.methods``, the paper's as any other's.

Reports also show policies that are no method (a served model, a person's own): these have their own
name as title and stand after all methods.
"""

from __future__ import annotations

from collections.abc import Sequence

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.methods.beyond_one_round import beyond
from tratree_cli.methods.controls import CONTROLS
from tratree_cli.methods.method import Method
from tratree_cli.registry import Registry

METHODS = Registry("tratree.methods", "method", Method)

DEFAULT = "tree-dpo"
"""The paper's own: what is trained or evaluated where no method is named."""
ALL = "all"
"""Every method, and as ``report.controls`` every control."""
BASELINE = "sft-strong"
"""What every method is compared with."""
WEAK = "sft-weak"
"""Where the recovered performance gap begins."""
CEILING = "ceiling"
"""Where it ends."""


def method(name: str) -> Method:
    """The method of this name, or the control (``METHOD/VARIANT``); ``InputError`` otherwise."""
    base, slash, variant = name.partition("/")
    record = METHODS.get(base)
    if not slash:
        return record
    if (further := beyond(record, variant)) is not None:
        return further
    if name not in record.controls or variant not in CONTROLS:
        own = derived_controls(record)
        known = f"it has {', '.join(own)}" if own else "it has none"
        raise InputError(
            f"there is no control '{name}' of {base}{did_you_mean(name, own)}; {known}"
        )
    return CONTROLS[variant].of(record)


def derived_controls(record: Method) -> tuple[str, ...]:
    """The names of the controls that are variants of the method itself."""
    return tuple(name for name in record.controls if name.startswith(f"{record.name}/"))


def with_controls(names: Sequence[str], wanted: Sequence[str] = (ALL,)) -> tuple[str, ...]:
    """``names``, then the controls of each and of these again, as far as they are ``wanted``.

    Raises ``InputError`` for a wanted control that is none.
    """
    for name in wanted:
        if name != ALL:
            method(name)
    found = list(dict.fromkeys(names))
    for name in found:
        found += [
            control
            for control in method(name).controls
            if control not in found and (ALL in wanted or control in wanted)
        ]
    return tuple(found)


def stand_ins(name: str) -> tuple[str, ...]:
    """The names of the rows that serve as this control, its own first.

    A control that would train just as another method does has no row of its own.
    """
    record = method(name)
    own = record.same_as in ("", record.control_of)
    return (name,) if own else (name, record.same_as)


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
    base, _, variant = name.partition("/")
    if base not in METHODS or METHODS.get(base).own_data:
        return False
    record = METHODS.get(base)
    return not variant or name in record.controls or beyond(record, variant) is not None


def title(name: str) -> str:
    """The printed name of a method or of any other policy."""
    return method(name).title if name in METHODS or is_method(name) else name


def rank(name: str) -> tuple[int, str]:
    """Its place in a table; policies that are no method come last, all in one place."""
    if not is_method(name):
        return (LAST, "")
    record = method(name)
    return (record.rank, record.name)


LAST = 1_000_000


def shown_in(place: str) -> tuple[Method, ...]:
    """The methods of a table or figure of the paper (a field of ``PaperPlaces``), in its order."""
    shown = [record for record in METHODS.records() if getattr(record.paper, place)]
    return tuple(sorted(shown, key=lambda record: int(getattr(record.paper, place))))

"""Values of the command line that need no judging: words, paths, and numbers within their bounds.

typer judges every value with a validation library whose import takes longer than a cached stage
does altogether, and it does so for options that nobody gave. Here the obvious ones are let through
first: what is absent, what has the right type already (defaults), ASCII words, and whole numbers
that are plainly within their bounds. Everything else, above all whatever may be wrong, goes to
typer as before, so its conversions and its messages stay the only ones.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_JUDGE = object()


def spare(command: Any) -> None:
    """Let plain values of a command (and of the commands in a group) through unjudged."""
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        for param in command.get_params(ctx):  # only now there is a --help among them
            _spare(param)
        return parse(ctx, args)

    command.parse_args = parse_args
    for inner in getattr(command, "commands", {}).values():
        spare(inner)


def _spare(param: Any) -> None:
    judged = param.process_value
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or "process_value" in vars(param):
        return

    def process_value(ctx: Any, value: Any) -> Any:
        several = param.multiple or param.nargs == -1
        found = _plain(value, descriptor.annotation, descriptor.parameter_info, several)
        if found is _JUDGE or (param.required and param.value_is_missing(found)):
            return judged(ctx, value)
        return found if param.callback is None else param.callback(ctx, param, found)

    param.process_value = process_value


def _plain(value: Any, wanted: Any, info: Any, several: bool) -> Any:
    """The value as ``wanted``, or ``_JUDGE`` if that takes a judgement."""
    if several:
        inner = getattr(wanted, "__args__", (None,))[0]
        if not isinstance(value, list | tuple | None):
            return _JUDGE
        found = [_plain(item, inner, info, False) for item in value or ()]
        if any(item is _JUDGE or item is None for item in found):
            return _JUDGE
        return found if value is not None else ()
    if value is None:
        return None
    if info.parser is not None:
        return _JUDGE
    if wanted is str:
        return value if type(value) is str and value.isascii() else _JUDGE
    if wanted is bool:
        return value if isinstance(value, bool) else _JUDGE
    if wanted is int:
        return _whole(value, info)
    if wanted is float and info.max is None and not info.clamp:
        sound = type(value) is float and (info.min is None or value >= info.min)
        return value if sound else _JUDGE
    if wanted is Path:
        return _path(value, info)
    return _JUDGE


def _whole(value: Any, info: Any) -> Any:
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) < 16:
        value = int(value)
    if type(value) is not int or info.clamp:
        return _JUDGE
    below = info.min is not None and value < info.min
    above = info.max is not None and value > info.max
    return _JUDGE if below or above else value


def _path(value: Any, info: Any) -> Any:
    checks = ("exists", "writable", "resolve_path", "allow_dash", "path_type")
    if any(getattr(info, check) for check in checks) or not (info.file_okay and info.dir_okay):
        return _JUDGE
    if type(value) is str and value.isascii():
        value = Path(value)
    if not isinstance(value, Path):
        return _JUDGE
    return value if os.access(value, os.R_OK) or not os.path.lexists(value) else _JUDGE

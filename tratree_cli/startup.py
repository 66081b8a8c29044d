"""What keeps ``--help`` and cached stages fast: three measures, each with its reason.

``spare_garbage_collection``: start-up makes a hundred thousand objects that all stay; looking for
garbage among them again and again costs a tenth of it.

``skip_validation``: typer validates every value with a library whose import takes longer than a
cached stage does altogether, also for options that nobody gave. The obvious values pass here: what
is absent, what has the right type already (defaults), ASCII words, and whole numbers plainly within
their bounds. Everything else, above all whatever may be wrong, goes to typer as before, so its
conversions and its messages stay the only ones.

``end_process``: taking a thousand modules apart is a fifth of what a cached stage costs, and the
system does it better: once everything is written and tidied up the process simply ends.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

_DEFAULT_THRESHOLD = gc.get_threshold()
_VALIDATE = object()


def spare_garbage_collection() -> None:
    """Collect rarely; for start-up only."""
    gc.set_threshold(100_000, 10, 10)


def collect_as_usual() -> None:
    """The usual thresholds, before real work."""
    gc.set_threshold(*_DEFAULT_THRESHOLD)


def open_closed_streams() -> None:
    """Open ``/dev/null`` where the process was started with a standard stream closed (``>&-``).

    Otherwise the next file that is opened gets the stream's number, and what is printed lands in
    it, or there is nothing to print to.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, so this one: those below are open.
            os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def only_modules_are_left() -> bool:
    """Whether the process can end at once; after real work libraries have threads of their own."""
    return "torch" not in sys.modules and threading.active_count() == 1


def end_process(code: int) -> NoReturn:
    """End now: exit functions have run and streams are flushed."""
    os._exit(code)


def run_exit_functions() -> None:
    """Run what was registered to run at exit."""
    atexit._run_exitfuncs()


def skip_validation(command: Any) -> None:
    """Let plain values of a command (and of the commands in a group) pass unvalidated."""
    parse = command.parse_args

    def parse_args(ctx: Any, args: list[str]) -> Any:
        for param in command.get_params(ctx):  # only now there is a --help among them
            _skip(param)
        return parse(ctx, args)

    command.parse_args = parse_args
    for inner in getattr(command, "commands", {}).values():
        skip_validation(inner)


def _skip(param: Any) -> None:
    validated = param.process_value
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or "process_value" in vars(param):
        return

    def process_value(ctx: Any, value: Any) -> Any:
        several = param.multiple or param.nargs == -1
        found = _plain(value, descriptor.annotation, descriptor.parameter_info, several)
        if found is _VALIDATE or (param.required and param.value_is_missing(found)):
            return validated(ctx, value)
        return found if param.callback is None else param.callback(ctx, param, found)

    param.process_value = process_value


def _plain(value: Any, wanted: Any, info: Any, several: bool) -> Any:
    """The value as ``wanted``, or ``_VALIDATE`` if that needs validation."""
    if several:
        inner = getattr(wanted, "__args__", (None,))[0]
        if not isinstance(value, list | tuple | None):
            return _VALIDATE
        found = [_plain(item, inner, info, False) for item in value or ()]
        if any(item is _VALIDATE or item is None for item in found):
            return _VALIDATE
        return found if value is not None else ()
    if value is None:
        return None
    if info.parser is not None:
        return _VALIDATE
    if wanted is str:
        return value if type(value) is str and value.isascii() else _VALIDATE
    if wanted is bool:
        return value if isinstance(value, bool) else _VALIDATE
    if wanted is int:
        return _whole(value, info)
    if wanted is float and info.max is None and not info.clamp:
        sound = type(value) is float and (info.min is None or value >= info.min)
        return value if sound else _VALIDATE
    if wanted is Path:
        return _path(value, info)
    return _VALIDATE


def _whole(value: Any, info: Any) -> Any:
    if type(value) is str and value.isascii() and value.isdecimal() and len(value) < 16:
        value = int(value)
    if type(value) is not int or info.clamp:
        return _VALIDATE
    below = info.min is not None and value < info.min
    above = info.max is not None and value > info.max
    return _VALIDATE if below or above else value


def _path(value: Any, info: Any) -> Any:
    checks = ("exists", "writable", "resolve_path", "allow_dash", "path_type")
    if any(getattr(info, check) for check in checks) or not (info.file_okay and info.dir_okay):
        return _VALIDATE
    if type(value) is str and value.isascii():
        value = Path(value)
    if not isinstance(value, Path):
        return _VALIDATE
    return value if os.access(value, os.R_OK) or not os.path.lexists(value) else _VALIDATE


_STAND_INS = {"−": "-", "–": "-", "±": "+-", "×": "x", "…": "...", "Δ": "d", "β": "beta", "─": "-"}


def stand_ins(error: UnicodeError) -> tuple[str, int]:
    """What a stream's encoding lacks, in characters that it has: a minus must stay a minus."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(_STAND_INS.get(c, "?") for c in error.object[error.start : error.end]), error.end

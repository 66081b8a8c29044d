"""Running a chat template of unknown origin within limits of time, memory and size.

transformers runs templates in Jinja's sandbox, which keeps them from the interpreter but not from
looping for hours or filling the memory. Here a rendering that takes longer than ``SECONDS`` is
interrupted by an exception, one that needs more than ``MEMORY_BYTES`` of new memory gets a
``MemoryError``, and what a single uninterruptible operation could do is refused before anything
runs: powers, and products of which neither factor is a small constant.

The memory limit is the process's for as long as a rendering takes (milliseconds). It is set on
systems that say how much a process has (Linux); elsewhere the time limit stands alone.
"""

from __future__ import annotations

import ctypes
import functools
import resource
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tratree_cli.errors import InputError
from tratree_cli.models.folder_checks import TEMPLATE_BYTES

SECONDS = 10.0
MEMORY_BYTES = 2 << 30
OUTPUT_CHARACTERS = 16 << 20
"""The longest text that a template may write beside what its messages hold."""
LARGEST_FACTOR = 1000
_STATUS = Path("/proc/self/statm")

T = TypeVar("T")


class TemplateTimeoutError(Exception):
    """A template took too long; raised inside of it by another thread."""


def rendered(template: Any, render: Callable[[], T]) -> T:
    """``render()``, which runs ``template``, within the limits.

    ``template`` is a text or several by name. Raises ``InputError`` for one that exceeds a limit;
    what else ``render`` raises goes through.
    """
    for text in template.values() if isinstance(template, dict) else [template]:
        if isinstance(text, str):
            require_bounded(text)
    try:
        with _limited_memory(), _limited_time():
            return render()
    except TemplateTimeoutError:
        raise InputError(
            f"the chat template ran for more than {SECONDS:g} s, which no conversation needs; use "
            "another template (templates/chat has some)"
        ) from None
    except MemoryError:
        raise InputError(
            f"the chat template needed more than {MEMORY_BYTES >> 30} GiB of memory; use another "
            "template (templates/chat has some)"
        ) from None


def require_short(text: str, given: int) -> str:
    """``text`` unless it is far longer than the ``given`` characters of its messages explain."""
    if len(text) > OUTPUT_CHARACTERS + 4 * given:
        raise InputError(
            f"the chat template made {len(text)} characters of {given}; use another template "
            "(templates/chat has some)"
        )
    return text


@functools.lru_cache(maxsize=64)
def require_bounded(template: str) -> None:
    """Raise ``InputError`` for a template that is too large or has an unbounded operation.

    A template that is no Jinja is left to whoever renders it.
    """
    from jinja2 import Environment, TemplateError, nodes
    from jinja2.ext import Extension

    class Generation(Extension):
        """The tag around the agent's words; only its place matters here."""

        tags = {"generation"}  # noqa: RUF012 - Jinja's own way

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    if len(template) > TEMPLATE_BYTES:
        raise InputError(
            f"the chat template has {len(template)} characters; the most that are read are "
            f"{TEMPLATE_BYTES}"
        )
    environment = Environment(extensions=["jinja2.ext.loopcontrols", Generation])
    try:
        tree = environment.parse(template)
    except (TemplateError, RecursionError):
        return
    for product in tree.find_all(nodes.Mul):
        if not _is_small(product.left) and not _is_small(product.right):
            raise InputError(_unbounded(product.lineno, "multiplies by what is no small constant"))
    for power in tree.find_all(nodes.Pow):
        raise InputError(_unbounded(power.lineno, "raises to a power"))


def _is_small(node: Any) -> bool:
    value = getattr(node, "value", None)
    return isinstance(value, int | float) and abs(value) <= LARGEST_FACTOR


def _unbounded(line: int, what: str) -> str:
    return (
        f"the chat template {what} in line {line}, which could run without end; use another "
        "template (templates/chat has some)"
    )


@contextmanager
def _limited_time() -> Iterator[None]:
    """Raise ``TemplateTimeoutError`` in this thread after ``SECONDS``, and never afterwards."""
    thread = threading.get_ident()
    lock = threading.Lock()
    running = True

    def interrupt() -> None:
        with lock:
            if running:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(thread), ctypes.py_object(TemplateTimeoutError)
                )

    timer = threading.Timer(SECONDS, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        with lock:
            running = False
        timer.cancel()


@contextmanager
def _limited_memory() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        used = int(_STATUS.read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        yield
        return
    limits = [used + MEMORY_BYTES, *(limit for limit in (soft, hard) if limit >= 0)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

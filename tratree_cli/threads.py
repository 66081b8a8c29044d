"""How many threads numerical libraries take: they read it from the environment when imported.

Two OpenMP threads on a busy machine are many times slower than one (spin barriers), and the number
of threads changes the trained bytes, so it is always set and recorded.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def chosen_threads() -> int:
    """What the user's environment asks for (``OMP_NUM_THREADS``), or one."""
    first = os.environ.get(THREADS[0], "").partition(",")[0].strip()
    return max(1, int(first)) if first.isdecimal() else 1


def limit_threads(threads: int) -> None:
    """Set the number for this process unless its environment has one; call before torch loads."""
    for name in THREADS:
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """One in each process that is spawned here, which inherits the environment."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

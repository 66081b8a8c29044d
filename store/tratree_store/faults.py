"""Places at which a test may make the process die, or an operation fail, exactly there.

Crash safety is a claim about every moment of a publication; sleeping and killing at random would
only sample it. Each step therefore names itself with ``point``; the environment variable
``TRATREE_STORE_FAULT`` holds ``NAME`` (die by SIGKILL there) or ``NAME=ENOSPC`` (raise that
error). Without the variable a point costs one dictionary lookup.
"""

from __future__ import annotations

import errno
import os
import signal

VARIABLE = "TRATREE_STORE_FAULT"

#: In the order in which a publication passes them.
PUBLISH_POINTS = (
    "build.locked",
    "build.folder",
    "publish.hashed",
    "publish.manifest",
    "publish.synced",
    "object.moving",
    "object.renamed",
    "record.pending",
    "record.written",
    "record.renamed",
    "index.begun",
    "index.committed",
    "record.done",
)


def point(name: str) -> None:
    """Die or fail here if the environment says so."""
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return
    place, _, failure = wanted.partition("=")
    if place != name:
        return
    if failure:
        code = getattr(errno, failure)
        raise OSError(code, os.strerror(code))
    os.kill(os.getpid(), signal.SIGKILL)

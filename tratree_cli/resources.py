"""Where the data files under ``templates/`` lie: in the wheel, or beside the package in a checkout.

The folder stands at the top level of the repository so that people find and edit it; a wheel
carries it inside the package. Whoever needs a template asks here and never guesses a path.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


@cache
def templates_dir() -> Path:
    """The folder that holds ``prompts/``, ``chat/``, ``recipes/``, ``models/``, ``report/``."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "templates", package.parent / "templates"):
        if (candidate / "recipes").is_dir():
            return candidate
    raise FileNotFoundError(
        f"tratree's templates are neither in {package} nor beside it; install tratree again"
    )


def tree_digest(folder: Path) -> str:
    """sha256 over the sorted relative paths and contents of a small folder (prompts, models)."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    return digest.hexdigest()

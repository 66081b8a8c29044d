"""Where a project is: the folder with its ``tratree.toml``, and the store beside it.

Imported by every command, so it imports nothing itself.
"""

from __future__ import annotations

from pathlib import Path

PROJECT_FILE = "tratree.toml"
STORE_FOLDER = ".tratree"


def project_file() -> Path | None:
    """``tratree.toml`` of the working folder or the nearest folder above it.

    The search ends at a repository's root and at the home folder, so that a stray file above
    everybody's work decides nothing.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / PROJECT_FILE).is_file():
            return Path(PROJECT_FILE) if folder == here else folder / PROJECT_FILE
        if (folder / ".git").exists() or folder == Path.home():
            return None
    return None


def default_store() -> Path:
    """The store where none is named: beside the project file, else in the working folder.

    A store in the working folder itself is always taken.
    """
    here = Path(STORE_FOLDER)
    project = None if here.is_dir() else project_file()
    return here if project is None else project.parent / STORE_FOLDER

"""Where on this machine the folders of base models lie, by the digest of their files.

An artifact travels, a path of one machine means nothing on another: an adapter that is stored apart
names its base by digest and by the folder's last name alone. Which folder that was is remembered
here, in the user's cache, whenever a folder is named as a base model; a cache that cannot be
written costs a question and nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path


def remember(identity: str, folder: Path) -> None:
    """Keep the folder whose files have the digest ``identity`` (``sha256:…``)."""
    place, path = _place(identity), str(folder.resolve())
    try:
        if place.is_file() and place.read_text("utf-8") == path:
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_suffix(f".{os.getpid()}")
        fresh.write_text(path, "utf-8")
        fresh.replace(place)
    except (OSError, UnicodeError):
        pass


def remembered(identity: str) -> Path | None:
    """The folder that had this digest when it was named last, if it is still there."""
    try:
        folder = Path(_place(identity).read_text("utf-8"))
        return folder if folder.is_dir() else None
    except (OSError, ValueError):
        return None


def _place(identity: str) -> Path:
    root = os.environ.get("TRATREE_CACHE") or Path.home() / ".cache" / "tratree"
    return Path(root) / "base-models" / identity.removeprefix("sha256:")

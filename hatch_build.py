"""The long description of the package: the README without links that only a checkout can follow.

A package index shows the README by itself. There ``[docs/trees.md](docs/trees.md)`` would lead
nowhere, so what it names stays and the link goes; addresses with a scheme stay links.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((?![a-z]+:)([^)]+)\)")
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)
NOTE = "\nPages under `docs/` are in the source distribution.\n"


def standalone(text: str) -> str:
    """``text`` with relative links as plain words, without the comments that tests read."""

    def words(link: re.Match[str]) -> str:
        shown, target = link[1], link[2]
        return f"`{target}`" if shown == target else f"{shown} (`{target}`)"

    return _LINK.sub(words, _COMMENT.sub("", text)) + NOTE


class ReadmeHook(MetadataHookInterface):
    """Sets ``readme``, which ``pyproject.toml`` declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": standalone(text)}

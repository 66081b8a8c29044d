"""A hook of mkdocs: pages of the site that are no files under ``docs/``.

The README becomes the start page, the other pages of the repository's root stand beside it with
their links turned round, and ``api/`` has a page a room with the docstrings of its public modules.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "ARCHITECTURE.md": "ARCHITECTURE.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "SECURITY.md": "SECURITY.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SKILL.md": "skills/tratree/SKILL.md",
}
"""Page of the site → file of the repository."""
API = {
    "trees": [
        "tratree_cli.trees.columns",
        "tratree_cli.trees.build",
        "tratree_cli.trees.forest",
        "tratree_cli.trees.pairs",
        "tratree_cli.trees.search.api",
        "tratree_cli.trees.statistics",
    ],
    "store": ["tratree_store", "tratree_store.remote", "tratree_store.archive"],
    "environments": [
        "tratree_cli.envs.protocol",
        "tratree_cli.envs.conformance",
        "tratree_cli.envs.webshop.shop",
    ],
    "policies": ["tratree_cli.agents.policy", "tratree_cli.agents.registry"],
    "methods": [
        "tratree_cli.methods.method",
        "tratree_cli.methods.pair_rule",
        "tratree_cli.training.trainer",
    ],
    "formats": [
        "tratree_cli.formats.rollouts",
        "tratree_cli.formats.pairs",
        "tratree_cli.formats.paths",
        "tratree_cli.formats.inspect_log",
    ],
    "evaluation": [
        "tratree_cli.evaluation.metrics",
        "tratree_cli.evaluation.bootstrap",
        "tratree_cli.evaluation.significance",
    ],
    "interop": [
        "tratree_cli.interop.gymnasium_env",
        "tratree_cli.interop.gymnasium_vector",
        "tratree_cli.interop.trl_tools",
        "tratree_cli.interop.trl_rollout",
        "tratree_cli.interop.webshop_text_env",
    ],
}
"""Page of the reference → modules whose docstrings it shows."""
_COMMENT = re.compile(r"^<!--.*?-->\n", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=at_the_top(text)))
    for name, modules in API.items():
        text = f"# {name.capitalize()}\n\n" + "\n\n".join(f"::: {module}" for module in modules)
        files.append(File.generated(config, f"api/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links of pages under ``docs/`` to the repository's root lead to the pages here."""
    named = "|".join(map(re.escape, PAGES.values()))
    return _COMMENT.sub("", re.sub(rf"\]\(\.\./({named})", r"](\1", markdown))


def at_the_top(text: str) -> str:
    """A page of the repository's root as one of the site's: ``docs/`` is the site's own root."""
    return (
        re.sub(r"\]\(docs/", "](", text)
        .replace("](skills/tratree/", "](")
        .replace("](README.md", "](index.md")
    )

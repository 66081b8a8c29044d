"""What an action of the shop is about: a search, an item, an option, buying, or moving around."""

from __future__ import annotations

import re

from tratree_cli.envs.webshop.actions import parse_action
from tratree_cli.envs.webshop.pages import BACK, BUY, NEXT, PREVIOUS, SUBPAGES

_ITEM = re.compile(r"b0[0-9a-z]+|[0-9]{9}[0-9x]")
"""Amazon's numbers of products, in lower case; books have their ISBN."""


def action_kind(action: str) -> str:
    """``search``, ``item``, ``option``, ``buy`` or ``navigation``; ``other`` for no action."""
    parsed = parse_action(action)
    if parsed is None:
        return "other"
    name, argument = parsed
    if name == "search":
        return "search"
    if argument == BUY:
        return "buy"
    if argument in (BACK, PREVIOUS, NEXT, *SUBPAGES, "attributes"):
        return "navigation"
    return "item" if _ITEM.fullmatch(argument) else "option"

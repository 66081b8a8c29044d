"""How a look is shown: as the simulator prints it, or on one line for models of short context."""

from __future__ import annotations

import re


def shown(observation: str, view: str) -> str:
    """The observation as the agent gets it; ``view`` is ``full`` or ``brief``."""
    listing = view == "brief" and observation.startswith(("This room is", "This outside"))
    return brief(observation) if listing else observation


def brief(observation: str) -> str:
    """A look on one line: the place and what is there, without the air, details and doors."""
    head, _, rest = observation.partition("you see:")
    things = [line.strip() for line in rest.partition("You also see:")[0].splitlines()]
    shown = [_thing(thing) for thing in things if thing]
    name = head.rpartition(" called ")[2].split(".")[0].removeprefix("the ")
    return f"{name}: {', '.join(thing for thing in shown if thing not in ('agent', 'air'))}"


def _thing(description: str) -> str:
    """``a flower pot 4 (containing a pea plant in the adult stage, soil)`` in a few words."""
    name = _bare(re.split(r"[.,(]", description, maxsplit=1)[0])
    held = re.search(r"\(containing (.+)\)", description)
    inside = [_bare(part) for part in held.group(1).split(",")] if held else []
    inside = [part for part in inside if part not in ("nothing", "soil", "water")]
    return f"{name} ({', '.join(inside)})" if inside else name


def _bare(description: str) -> str:
    plain = re.sub(r"^(?:a substance called|an?|the)\s+", "", description.strip())
    return re.split(r" in the | with a ", plain, maxsplit=1)[0]

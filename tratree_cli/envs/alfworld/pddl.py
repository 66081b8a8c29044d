"""Reading PDDL: nested lists of lower-case words, and nothing of what a planner does with them.

The planner behind the original engine lower-cases everything and cuts comments at ``;``, so names
are compared and sorted in that form here as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeAlias

Node: TypeAlias = "str | list[Node]"

COMMENT = re.compile(r";[^\n]*")
TOKEN = re.compile(r"[()]|[^\s()]+")
MAX_DEPTH = 200


class PddlError(ValueError):
    """Text that is no PDDL; the message completes 'FILE: '."""


def parse(text: str) -> list[Node]:
    """The one expression in ``text``; PddlError if it is unbalanced, empty or followed by more."""
    stack: list[list[Node]] = [[]]
    for token in TOKEN.findall(COMMENT.sub("", text).lower()):
        if token == "(":
            if len(stack) > MAX_DEPTH:
                raise PddlError("its parentheses are nested too deeply")
            stack.append([])
        elif token == ")":
            if len(stack) == 1:
                # The goals of the original files close one parenthesis too many, after the end.
                continue
            closed = stack.pop()
            stack[-1].append(closed)
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise PddlError("a parenthesis is not closed, so the file was cut off")
    if not stack[0] or not isinstance(stack[0][0], list):
        raise PddlError("it holds no expression")
    return stack[0][0]


def sections(document: Sequence[Node]) -> Iterator[tuple[str, list[Node]]]:
    """``(:init ...)`` as ``(":init", [...])`` for every section of a domain or problem."""
    for node in document:
        if isinstance(node, list) and node and isinstance(node[0], str) and node[0][:1] == ":":
            yield node[0], node[1:]


def typed_list(nodes: Sequence[Node]) -> list[tuple[str, str]]:
    """``a b - t c - u`` as ``[(a, t), (b, t), (c, u)]``; what has no type is an ``object``."""
    typed: list[tuple[str, str]] = []
    waiting: list[str] = []
    rest = iter(nodes)
    for word in rest:
        if not isinstance(word, str):
            raise PddlError("a list of names holds parentheses")
        if word == "-":
            kind = next(rest, None)
            if not isinstance(kind, str):
                raise PddlError("a list of names ends in '-'")
            typed += [(name, kind) for name in waiting]
            waiting = []
        else:
            waiting.append(word)
    return typed + [(name, "object") for name in waiting]

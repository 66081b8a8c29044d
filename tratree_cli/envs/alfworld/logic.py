"""The rules and the wording that a game file carries, recognised and written.

A game file brings its own rules (PDDL) and its own sentences (a grammar). Interpreting both in
general is what makes the original engine slow; this one supports the two editions that were
published (*put ... in/on*, and since ALFWorld 0.4 *move ... to*) and refuses anything else in a
sentence that names the rule, instead of playing a game that is not the file's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import orjson

from tratree_cli.envs.alfworld.pddl import Node, PddlError, parse, sections

GRAMMARS = ("put", "move")
SINK = "(receptacleType ?r SinkType) "
HELP_ACTION = """
  (:action help
    :parameters (?a - agent)
    :precondition ()
    :effect (and (checked ?a))))
"""
HELP = """What you can type:
  look, inventory, help
  go to RECEPTACLE, open RECEPTACLE, close RECEPTACLE, examine THING
  take OBJECT from RECEPTACLE, move OBJECT to RECEPTACLE, use OBJECT
  heat, clean or cool OBJECT with RECEPTACLE, slice OBJECT with OBJECT
"""
BLOCK = re.compile(r'grammar\s*::\s*"""(.*?)"""', re.DOTALL)
ACTION = re.compile(
    r'action\s+(\w+)\s*\{\s*template\s*::\s*"([^"]*)";\s*feedback\s*::\s*"([^"]*)";'
)
TASK = re.compile(r'"Your task is to: (?:[^"\\]|\\.)*"')
PLAIN = re.compile(r"[^;|\"<>\[\]#{}]*")
"""What the original's grammar takes literally; the rest of a text has a meaning for it."""


@dataclass(frozen=True)
class Logic:
    """What differs between the editions: the verb for putting, what arrival names, sinks, help."""

    put: str
    arrive_at_place: bool
    sink_types: tuple[str, ...]
    help: str | None


@lru_cache(maxsize=1)
def shipped_grammar() -> dict[str, Any]:
    """Our copy of the sentences: ``rules``, ``actions`` and what ``move`` replaces."""
    content: dict[str, Any] = orjson.loads(_data("grammar.json"))
    return content


def _data(name: str) -> bytes:
    return files("tratree_cli.envs.alfworld").joinpath("data", name).read_bytes()


# -- writing -----------------------------------------------------------------------------------


@lru_cache(maxsize=2)
def domain_text(edition: str) -> str:
    """The rules of an edition (``put`` or ``move``) as PDDL."""
    text = _data("domain.pddl").decode()
    if edition == "put":
        return text
    return text.replace(SINK, "").rstrip().removesuffix(")") + "\n" + HELP_ACTION


def grammar_text(edition: str, task: str) -> str:
    """The sentences of an edition in the original's file format, for one task sentence."""
    shipped = shipped_grammar()
    rules, actions = dict(shipped["rules"]), dict(shipped["actions"])
    if edition == "move":
        rules |= shipped["move"]["rules"]
        actions |= shipped["move"]["actions"]
        rules["help.feedback"] = [{"rhs": HELP}]
        actions["help"] = ["help", "#help.feedback#"]
    rules["task"] = [{"rhs": f"Your task is to: {task}"}]
    block = orjson.dumps(rules, option=orjson.OPT_INDENT_2).decode()
    lines = [
        f'action {name} {{\n    template :: "{template}";\n    feedback :: "{feedback}";\n}}\n'
        for name, (template, feedback) in actions.items()
    ]
    return f'grammar :: """\n{block}\n""";\n\n' + "\n".join(lines)


# -- recognising -------------------------------------------------------------------------------


def read_logic(domain: str, grammar: str) -> tuple[Logic, str]:
    """The edition of a game file and its task line; PddlError for rules that are not known."""
    task_rule = TASK.search(grammar)
    if task_rule is None:
        raise PddlError("its grammar has no line 'Your task is to: ...'")
    task = str(_json(task_rule.group(0)))
    if not PLAIN.fullmatch(task):
        raise PddlError("its task sentence holds one of the characters ; | < > [ ] # { }")
    wording = _read_grammar(TASK.sub('"Your task is to: "', grammar, count=1))
    sinks, has_help = _read_domain(domain)
    put, place, help_text = wording
    if has_help and help_text is None:
        raise PddlError("its rules have an action 'help' that its grammar has no words for")
    return Logic(put, place, sinks, help_text if has_help else None), task


@lru_cache(maxsize=16)
def _read_grammar(text: str) -> tuple[str, bool, str | None]:
    rules: dict[str, Any] = {}
    for block in BLOCK.findall(text):
        # The original drops lines that begin with '#' before it reads the JSON.
        kept = [line for line in block.split("\n") if not line.lstrip().startswith("#")]
        content = _json("\n".join(kept))
        if not isinstance(content, dict):
            raise PddlError("a grammar block of it is not a JSON object")
        rules |= content
    actions = {name.lower(): [template, names] for name, template, names in ACTION.findall(text)}
    shipped = shipped_grammar()
    moved = shipped["move"]
    for name, rule in shipped["rules"].items():
        if rules.get(name) not in (rule, moved["rules"].get(name, rule)):
            raise PddlError(f"its grammar words '{name}' in a way that is not known")
    for name, action in shipped["actions"].items():
        if actions.get(name.lower()) not in (action, moved["actions"].get(name, action)):
            raise PddlError(f"its grammar writes the action '{name}' in a way that is not known")
    moving = "PutObject.feedback"
    put = "move" if rules[moving] == moved["rules"][moving] else "put"
    if (actions["putobject"] == moved["actions"]["PutObject"]) != (put == "move"):
        raise PddlError("its grammar mixes 'put ... in/on' and 'move ... to'")
    place = rules["GotoLocation.feedback"] == shipped["rules"]["GotoLocation.feedback"]
    return put, place, _help(rules, actions)


def _help(rules: Mapping[str, Any], actions: Mapping[str, Any]) -> str | None:
    if "help" not in actions:
        return None
    rule = rules.get(str(actions["help"][1]).strip("#"))
    text = rule[0].get("rhs") if isinstance(rule, list) and len(rule) == 1 else None
    if actions["help"][0] != "help" or not isinstance(text, str) or not PLAIN.fullmatch(text):
        raise PddlError("its grammar writes the action 'help' in a way that is not known")
    # The original's parser takes blank space at the beginning of a text for a comment.
    return text.lstrip()


@lru_cache(maxsize=16)
def _read_domain(text: str) -> tuple[tuple[str, ...], bool]:
    actions = _actions(text)
    known, moved = _actions(domain_text("put")), _actions(domain_text("move"))
    for name, action in known.items():
        if actions.get(name) not in (action, moved[name]):
            raise PddlError(f"its rules define the action '{name}' in a way that is not known")
    for name, action in actions.items():
        if name not in known and (name, action) != ("help", moved["help"]):
            raise PddlError(f"its rules have an action '{name}' that is not known")
    both = actions["cleanobject"] == known["cleanobject"]
    sinks = ("sinktype", "sinkbasintype") if both else ("sinkbasintype",)
    return sinks, "help" in actions


def _actions(text: str) -> dict[str, list[Node]]:
    """Parameters, preconditions and effects of every action, without costs."""
    actions: dict[str, list[Node]] = {}
    for section, content in sections(parse(text)):
        if section == ":action" and content and isinstance(content[0], str):
            actions[content[0]] = [_without_costs(node) for node in content[1:]]
    return actions


def _without_costs(node: Node) -> Node:
    if isinstance(node, str):
        return node
    return [_without_costs(part) for part in node if part[:1] != ["increase"]]


def _json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PddlError(f"a grammar block of it is not JSON ({error})") from None

"""What a task sentence asks for, read from its words alone.

The forms are those of the original's sentences (and of the generator's). Sentences that people
wrote are not parsed: the expert then only looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_THING, _PLACE = r"(?P<thing>\w+)", r"(?:in|on) (?P<place>\w+)"
FORMS = (
    re.compile(rf"(?:look at|examine) (?:the )?{_THING} (?:under|with) the (?P<lamp>\w+)"),
    re.compile(rf"(?:put|find) (?P<two>two) {_THING} (?:and put them )?{_PLACE}"),
    re.compile(rf"put a (?P<state>clean|hot|cool) {_THING} {_PLACE}"),
    re.compile(
        r"(?P<state>clean|heat|cool) some (?P<thing>\w+) and put it (?:in|on) (?P<place>\w+)"
    ),
    re.compile(rf"put (?:a|some) {_THING} {_PLACE}"),
)
MARK = "Your task is to: "
NOTE_MARK = "Task: "
"""What stands before the task sentence, in the game's texts and in note form."""


@dataclass(frozen=True)
class TaskSentence:
    """A task: what is asked for, how often, in which state, and where it goes or which lamp lights
    it. ``state`` is ``clean``, ``heat``, ``cool`` or empty."""

    thing: str
    place: str = ""
    lamp: str = ""
    state: str = ""
    number: int = 1


def split_task(text: str) -> tuple[str, str]:
    """What stands before the task sentence, and the sentence; the text and '' without one."""
    for mark in (MARK, NOTE_MARK):
        before, separator, sentence = text.rpartition(mark)
        if separator:
            return before, sentence
    return text, ""


def read_task_sentence(text: str) -> TaskSentence | None:
    """The parsed task sentence of a text, or None."""
    sentence = split_task(text)[1].strip().lower()
    for form in FORMS:
        match = form.match(sentence)
        if match:
            groups = match.groupdict()
            state = groups.get("state") or ""
            return TaskSentence(
                thing=groups["thing"],
                place=groups.get("place") or "",
                lamp=groups.get("lamp") or "",
                state="heat" if state == "hot" else state,
                number=2 if groups.get("two") else 1,
            )
    return None

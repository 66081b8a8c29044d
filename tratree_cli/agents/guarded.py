"""A user's own policy, held so that what it raises ends the episodes it concerns and nothing else.

A Python object that a reference names may raise, answer with something else than replies, or not
answer at all. Each of these is a ``policy-error`` of the conversations that wait for it: data, as
a server's refusal is, and no crash of the other episodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tratree_cli.agents.policy import Opening, Policy, Reply, Turn
from tratree_cli.errors import TratreeError, is_out_of_memory
from tratree_cli.formats.rollouts import CONTEXT_OVERFLOW, POLICY_ERROR


def in_words(error: BaseException) -> str:
    """An error of foreign code in one line."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - also ``__str__`` is foreign
        lines = []
    name = type(error).__name__
    return f"{name}: {lines[0]}" if lines else name


class GuardedPolicy:
    """``inner`` with every answer checked and every exception turned into a reply.

    With ``one_by_one`` turns are handed on singly, so that one that fails concerns no other; a
    policy that answers many at once gets them together, as the protocol says.
    """

    def __init__(self, inner: Policy, one_by_one: bool = False) -> None:
        self._inner = inner
        self._one_by_one = one_by_one
        self._waiting: list[int] = []
        self._failed: dict[int, str] = {}

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            try:
                self._inner.begin([opening])
            except Exception as error:  # noqa: BLE001 - foreign code
                self._failed[opening.slot] = _reason(error)

    def submit(self, turns: Sequence[Turn]) -> None:
        self._waiting += [turn.slot for turn in turns]
        sound = [turn for turn in turns if turn.slot not in self._failed]
        for together in [[turn] for turn in sound] if self._one_by_one else [sound]:
            try:
                self._inner.submit(together)
            except Exception as error:  # noqa: BLE001 - foreign code
                self._failed.update(dict.fromkeys((t.slot for t in together), _reason(error)))

    def collect(self) -> list[Reply]:
        failed = [slot for slot in self._waiting if slot in self._failed]
        if failed:
            return [self._refuse(slot, self._failed.pop(slot)) for slot in failed]
        try:
            replies = list(self._inner.collect())
        except Exception as error:  # noqa: BLE001 - foreign code
            reason = _reason(error)
            return [self._refuse(slot, reason) for slot in self._waiting.copy()]
        checked = [self._checked(reply) for reply in replies if self._is_awaited(reply)]
        if checked:
            return checked
        reason = "the policy answered to none of its conversations"
        return [self._refuse(slot, reason) for slot in self._waiting.copy()]

    def finish(self, slots: Iterable[int]) -> None:
        slots = list(slots)
        for slot in slots:
            self._failed.pop(slot, None)
        self._waiting = [slot for slot in self._waiting if slot not in slots]
        try:
            self._inner.finish(slots)
        except Exception as error:  # noqa: BLE001 - foreign code
            _reason(error)  # the conversations are over: there is nobody to tell

    def close(self) -> None:
        self._inner.close()

    def _is_awaited(self, reply: object) -> bool:
        return isinstance(reply, Reply) and reply.slot in self._waiting

    def _checked(self, reply: Reply) -> Reply:
        text: object = reply.text
        if not isinstance(text, str):
            kind = type(text).__name__
            return self._refuse(reply.slot, f"the policy answered with {kind}, not with text")
        if reply.end not in (None, CONTEXT_OVERFLOW, POLICY_ERROR):
            return self._refuse(reply.slot, "the policy ended in a way that there is not")
        self._waiting.remove(reply.slot)
        return reply

    def _refuse(self, slot: int, detail: str) -> Reply:
        self._waiting.remove(slot)
        return Reply(slot, end=POLICY_ERROR, detail=detail)


def _reason(error: Exception) -> str:
    """Why a call failed; what is meant for people, or no fault of the policy, goes through."""
    if isinstance(error, TratreeError) or is_out_of_memory(error):
        raise error
    return in_words(error)

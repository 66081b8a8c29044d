"""One graph of states per task: what its states and answers are worth, and how far success is.

``join_states`` makes one of trajectories. Unlike a tree it may have cycles, so values are the
solution of equations and distances are shortest paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tratree_cli.trees.columns import BoolArray, Columns, FloatArray, IntArray
from tratree_cli.trees.group_steps import combine

PERFECT = 1.0 - 1e-9
"""From this G on a trajectory is a success here. An environment's own success may be less (any
purchase), and is then nothing that a step could make progress to."""
ENDS = -1
"""The state after the last step of a trajectory."""
NEVER = -1
"""The distance where no recorded way leads to a success."""
_CONVERGED = 1e-12
_SWEEPS = 100_000


@dataclass(frozen=True)
class StateGraph:
    """N states and E answers (a state with an action) over the trajectories of ``columns``.

    ``step_state[S]`` is the state in which each step was taken (-1: uncounted). States are numbered
    task by task in the order in which they first appear; ``observation[N]`` is the text that each
    was first seen as. ``merged`` observations joined another text by similarity.
    """

    columns: Columns
    step_state: IntArray
    task: IntArray
    observation: IntArray
    merged: int = 0

    def __len__(self) -> int:
        return len(self.task)

    @cached_property
    def owner(self) -> IntArray:
        """The trajectory of each step, ``[S]``."""
        return np.repeat(np.arange(len(self.columns)), self.columns.lengths)

    @cached_property
    def steps(self) -> IntArray:
        """The counted steps, in their order."""
        return np.flatnonzero(self.step_state >= 0)

    @cached_property
    def next_state(self) -> IntArray:
        """The state after each step, ``[S]``; ``ENDS`` after the last one of a trajectory."""
        after = np.append(self.step_state[1:], ENDS)
        after[self.columns.offsets[1:][self.columns.lengths > 0] - 1] = ENDS
        return np.where(self.step_state >= 0, after, ENDS)

    @cached_property
    def _answers(self) -> tuple[IntArray, IntArray, IntArray]:
        """``(state[E], action[E], answer of each counted step)``, in order of states."""
        steps = self.steps
        if not len(steps):
            none = np.zeros(0, dtype=np.int64)
            return none, none, none
        state = self.step_state[steps].astype(np.int64)
        action = self.columns.actions[steps].astype(np.int64)
        key, first, answer = np.unique(
            combine(state, action), return_index=True, return_inverse=True
        )
        # In order of states, and of one state in the order in which they were first given.
        order = np.lexsort((first, state[first]))
        place = np.empty(len(key), dtype=np.int64)
        place[order] = np.arange(len(key))
        return state[first[order]], action[first[order]], place[answer]

    @property
    def answer_state(self) -> IntArray:
        """The state of every answer, ``[E]``, rising."""
        return self._answers[0]

    @property
    def answer_action(self) -> IntArray:
        """The action of every answer, ``[E]``, by text number."""
        return self._answers[1]

    @property
    def step_answer(self) -> IntArray:
        """The answer of every counted step (``steps``)."""
        return self._answers[2]

    def answers(self, state: int) -> range:
        """The answers that were given in a state, in the order in which they first were."""
        low, high = np.searchsorted(self.answer_state, [state, state + 1])
        return range(int(low), int(high))

    @cached_property
    def _transitions(self) -> tuple[IntArray, IntArray, IntArray]:
        """``(answer[X], next state[X], steps[X])``: where answers led, ends among it."""
        after = self.next_state[self.steps]
        width = len(self) + 1
        key, count = np.unique(self.step_answer * width + after + 1, return_counts=True)
        return key // width, key % width - 1, count

    @property
    def transitions(self) -> tuple[IntArray, IntArray, IntArray]:
        """Where answers led: ``(answer[X], next state[X], steps[X])``, in order of answers."""
        return self._transitions

    @cached_property
    def effective(self) -> BoolArray:
        """Whether each answer ever had an effect, ``[E]``."""
        valid = self.columns.valid[self.steps]
        return np.bincount(self.step_answer[valid], minlength=len(self.answer_state)) > 0

    @cached_property
    def tried(self) -> IntArray:
        """How many trajectories gave each answer, ``[E]``."""
        return self._per_answer(np.ones(len(self.columns), dtype=np.bool_))

    @cached_property
    def won(self) -> IntArray:
        """How many of them are successes (a G of 1), ``[E]``."""
        return self._per_answer(self.perfect)

    @cached_property
    def perfect(self) -> BoolArray:
        """Which trajectories are successes, ``[T]``."""
        return np.logical_and(self.columns.counted, self.columns.score >= PERFECT)

    def _per_answer(self, among: BoolArray) -> IntArray:
        owner = self.owner[self.steps]
        pair = np.unique(np.stack((self.step_answer, owner)), axis=1)
        return np.bincount(pair[0][among[pair[1]]], minlength=len(self.answer_state))

    @cached_property
    def _expected(self) -> tuple[FloatArray, FloatArray]:
        """Expected G of every state and of every answer."""
        answer, after, count = self._transitions
        state = self.answer_state
        last = self.steps[self.next_state[self.steps] == ENDS]
        gained = np.zeros(len(state))
        ends = self.next_state[self.steps] == ENDS
        np.add.at(gained, self.step_answer[ends], self.columns.score[self.owner[last]])
        taken = np.bincount(self.step_answer, minlength=len(state)).astype(np.float64)
        visits = np.bincount(state, weights=taken, minlength=len(self))
        moves = np.flatnonzero((after != ENDS) & (after != state[answer]))
        stays = np.flatnonzero(after == state[answer])
        leaving = visits - np.bincount(
            state[answer[stays]], weights=count[stays], minlength=len(self)
        )
        ended = np.bincount(state, weights=gained, minlength=len(self))
        source, target, weight = state[answer[moves]], after[moves], count[moves]
        value = np.zeros(len(self))
        for _ in range(_SWEEPS):
            reached = np.bincount(source, weights=weight * value[target], minlength=len(self))
            new = (ended + reached) / np.maximum(leaving, 1.0)
            change = float(np.abs(new - value).max(initial=0.0))
            value = new
            if change < _CONVERGED:
                break
        inside = after != ENDS
        led = np.bincount(
            answer[inside], weights=count[inside] * value[after[inside]], minlength=len(state)
        )
        # What is left of the iteration is no difference between two answers.
        return np.round(value, 9), np.round((gained + led) / np.maximum(taken, 1.0), 9)

    @property
    def value(self) -> FloatArray:
        """Expected G of every state, ``[N]``, where answers are drawn as often as they were given
        and lead where they led: V(s) = Σ P(a, s' | s) (G where it ends, else V(s'))."""
        return self._expected[0]

    @property
    def answer_value(self) -> FloatArray:
        """Expected G of every answer, ``[E]``."""
        return self._expected[1]

    @cached_property
    def _distances(self) -> tuple[IntArray, IntArray]:
        far = np.iinfo(np.int64).max // 2
        answer, after, _ = self._transitions
        last = np.flatnonzero(
            (self.next_state[self.steps] == ENDS) & self.perfect[self.owner[self.steps]]
        )
        own = np.full(len(self.answer_state), far)
        own[self.step_answer[last]] = 1
        inside = np.flatnonzero(after != ENDS)
        state = np.full(len(self), far)
        while True:
            reach = own.copy()
            np.minimum.at(reach, answer[inside], np.minimum(state[after[inside]] + 1, far))
            new = np.full(len(self), far)
            np.minimum.at(new, self.answer_state, reach)
            if np.array_equal(new, state):
                return _known(state, far), _known(reach, far)
            state = new

    @property
    def distance(self) -> IntArray:
        """Steps from each state to the nearest recorded success, ``[N]``; ``NEVER`` if none is."""
        return self._distances[0]

    @property
    def answer_distance(self) -> IntArray:
        """The same over each answer, its own step counted, ``[E]``."""
        return self._distances[1]

    @property
    def joined(self) -> int:
        """States that histories of different actions reached."""
        return self._joined

    @cached_property
    def _joined(self) -> int:
        history: dict[int, int] = {}
        several = set[int]()
        states, actions = self.step_state.tolist(), self.columns.actions.tolist()
        for trajectory in np.flatnonzero(self.columns.counted).tolist():
            path = 0
            span = self.columns.span(trajectory)
            for step in range(span.start, span.stop):
                state = states[step]
                if history.setdefault(state, path) != path:
                    several.add(state)
                path = hash((path, actions[step]))
        return len(several)

    @property
    def cycles(self) -> int:
        """Counted steps after which a trajectory was in a state that it had been in before."""
        count = 0
        states = self.step_state.tolist()
        for trajectory in np.flatnonzero(self.columns.counted).tolist():
            span = self.columns.span(trajectory)
            count += len(states[span]) - len(set(states[span]))
        return count

    @property
    def contradictions(self) -> int:
        """Answers that led to several states, ends of several G among them.

        In a deterministic environment they were given in states that only look the same.
        """
        ends = self.next_state[self.steps] == ENDS
        score = self.columns.score[self.owner[self.steps]]
        outcome = np.where(ends, -1.0 - score, self.next_state[self.steps])
        pairs = np.unique(np.stack((self.step_answer.astype(np.float64), outcome)), axis=1)
        return int((np.bincount(pairs[0].astype(np.int64)) > 1).sum()) if pairs.size else 0


def _known(distance: IntArray, far: int) -> IntArray:
    return np.where(distance >= far, NEVER, distance)

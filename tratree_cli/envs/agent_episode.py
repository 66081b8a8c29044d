"""One episode as an agent of another program plays it: its text in, text, reward and end out.

The HTTP and WebSocket server and the adapters for other trainers (``envs/serve``, ``interop``)
all build on this, so that they agree on what a step, a reward and an end are. Trainers add rewards
up, so ``reward`` is the increment of the environment's score and the sum is the final score.
"""

from __future__ import annotations

from dataclasses import dataclass

from tratree_cli.envs.protocol import INVALID_FORMAT, Environment, Outcome
from tratree_cli.errors import InputError
from tratree_cli.formats.agent_text import ACTION, UNPARSABLE_LIMIT, parse, storable


class EpisodeError(InputError):
    """A step before the first reset, or after the end."""


@dataclass(frozen=True, slots=True)
class AgentState:
    """What is so after a reset or a step.

    ``score`` in [0, 1] is the environment's score so far and ``reward`` its increment by the last
    step (the increments of an episode add up to its final score, up to rounding). ``terminated``:
    the environment ended the episode; ``truncated``: the step limit did, or outputs without an
    action. ``valid`` is False for an action without an effect; ``steps`` counts all of them.
    """

    text: str
    score: float = 0.0
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    success: bool = False
    valid: bool = True
    steps: int = 0

    @property
    def done(self) -> bool:
        """Whether the episode is over, however it ended."""
        return self.terminated or self.truncated


class AgentEpisode:
    """An episode of one task; ``reset`` may be called again and starts over.

    ``max_steps`` replaces the environment's step limit unless it is 0. An output with ``Action: ``
    in it is parsed as in rollouts. One without is the action itself, or, with ``react``, no action:
    it is answered as in rollouts, and three in a row end the episode. Raises ``InputError`` for an
    unknown task.
    """

    __slots__ = ("_episode", "_react", "_rewarded", "_unparsable", "instruction", "max_steps",
                 "state", "task")  # fmt: skip

    def __init__(
        self, environment: Environment, task: str, *, max_steps: int = 0, react: bool = False
    ) -> None:
        self.task = task
        self.instruction = storable(environment.instruction(task))
        self.max_steps = max_steps or environment.max_steps(task)
        self.state: AgentState | None = None
        self._episode = environment.episode(task)
        self._react = react
        self._unparsable = 0
        self._rewarded = 0.0

    def reset(self) -> AgentState:
        """Begin; the text is the first observation."""
        self._unparsable, self._rewarded = 0, 0.0
        self.state = AgentState(storable(self._episode.reset()))
        return self.state

    def step(self, output: str) -> AgentState:
        """Take the agent's output; ``EpisodeError`` before a reset and after the end."""
        before = self.state
        if before is None:
            raise EpisodeError("the episode has not begun; reset it before the first step")
        if before.done:
            raise EpisodeError("the episode is over; reset it to begin another")
        action = self._action(output)
        if action is None:
            self._unparsable += 1
            outcome = Outcome(INVALID_FORMAT, before.score, done=False, valid=False)
        else:
            self._unparsable = 0
            outcome = self._episode.step(action)
        self.state = self._after(outcome, before.steps + 1)
        return self.state

    def available_actions(self) -> list[str]:
        """Actions that have an effect now; none before a reset and after the end."""
        if self.state is None or self.state.done:
            return []
        return [storable(action) for action in self._episode.available_actions()]

    def _action(self, output: str) -> str | None:
        output = storable(output)
        if ACTION in output or self._react:
            return parse(output)[1]
        return output.strip()

    def _after(self, outcome: Outcome, steps: int) -> AgentState:
        score, terminated = float(outcome.score), bool(outcome.done)
        reward = score - self._rewarded
        self._rewarded += reward
        limit = steps >= self.max_steps or self._unparsable >= UNPARSABLE_LIMIT
        return AgentState(
            text=storable(outcome.observation),
            score=score,
            reward=reward,
            terminated=terminated,
            truncated=not terminated and limit,
            success=terminated and bool(outcome.success),
            valid=bool(outcome.valid),
            steps=steps,
        )

"""What the rest of tratree needs of an environment: tasks in splits, and episodes over text.

An ``Environment`` is opened once per process and shared by many ``Episode`` objects, which are
independent of each other. Everything is deterministic: the same task, the same seed where the
environment is stochastic, and the same actions give the same texts, so any state can be rebuilt by
replay and a rollout needs no snapshot of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, runtime_checkable

from tratree_cli.errors import InputError


@dataclass(frozen=True)
class EnvironmentSpec:
    """Which environment, on which data, with which parameters: what lineage inherits.

    ``name`` is what ``--env`` takes, ``data`` is ``"embedded"`` or the folder's absolute path
    (recorded only), ``data_digest`` the sha256 that is keyed, ``parameters`` every setting that
    changes an observation or a score (page size, hit cap, step limit, noun rule, ...).
    """

    name: str
    data: str
    data_digest: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def key(self) -> dict[str, Any]:
        """The part that enters a recipe digest (the folder's path does not)."""
        return {
            "name": self.name,
            "data_digest": self.data_digest,
            "parameters": dict(self.parameters),
        }


class UnplayableTaskError(InputError):
    """One task cannot be played (its file is broken, say); the environment's others can."""


@dataclass(frozen=True)
class Outcome:
    """What one action led to.

    ``score`` in [0, 1] is the environment's score *so far* (what the episode would get if it ended
    here), ``done``: the environment ended the episode, ``success`` is its own definition
    of success, ``valid`` is False for an action that had no effect because it is unknown here.
    """

    observation: str
    score: float
    done: bool
    success: bool = False
    valid: bool = True


@runtime_checkable
class Episode(Protocol):
    """One run of one task. ``reset`` may be called again and starts over."""

    def reset(self) -> str:
        """Begin; return the first observation (it contains the instruction)."""

    def step(self, action: str) -> Outcome:
        """Apply what follows ``Action: `` in the agent's output. Never raises for any string."""

    def available_actions(self) -> Sequence[str]:
        """Actions that have an effect now, written as the agent would write them."""


@runtime_checkable
class Expert(Protocol):
    """A scripted policy that sees only observations, never the answer. One object per episode."""

    def act(self, observation: str) -> tuple[str, str]:
        """Return ``(thought, action)`` for the newest observation."""


@runtime_checkable
class Environment(Protocol):
    """Tasks, splits, episodes and prompts of one environment over one data set."""

    spec: EnvironmentSpec

    def splits(self) -> Mapping[str, Sequence[str]]:
        """Task identifiers per split, in their fixed order (``train``, ``dev``, ``test``, ...)."""

    def instruction(self, task: str) -> str:
        """The instruction text of a task (the tree's root)."""

    def task_type(self, task: str) -> str:
        """A coarse type that evaluation groups by (a category, a task family)."""

    def max_steps(self, task: str) -> int:
        """The step limit of a task."""

    def episode(self, task: str) -> Episode:
        """A fresh, independent episode of this task."""

    def expert(self, task: str) -> Expert:
        """A fresh expert for one episode of this task."""

    def close(self) -> None:
        """Release processes and files; safe to call twice."""


class OptionalFeatures:
    """What an environment may declare beyond ``Environment``.

    An environment inherits from this class, or has some of these attributes, or none of them: what
    it does not have is read as it stands here (``optional``).
    """

    notes: Sequence[str] = ()
    """Lines that ``tratree env list`` shows below it."""

    concurrent_episodes: int = 32
    """How many episodes are worth running in one process at once."""

    training_splits: Sequence[str] = ("train", "dev")
    """Splits that may be explored and demonstrated on; all others are for evaluation alone."""

    sizes: Mapping[str, int] = MappingProxyType({})
    """How much of what the data hold, for evaluation protocols that need certain data."""

    in_memory: bool = False
    """Whether everything lies in this process's memory: a step waits for no other process, and a
    forked process may go on with it (``tratree env serve``)."""

    stochastic: bool = False
    """Whether pages or scores depend on an episode's seed: then ``seeded_episode(task, seed)``
    gives the episode of a seed, and ``episode(task)`` always the same one."""

    def no_demonstration(self, task: str) -> str:
        """Why the expert cannot demonstrate a task; empty where it can."""
        return ""


class ScoredEpisode(Protocol):
    """What is stored of an episode without its texts: see ``evaluation.results.EpisodeResult``."""

    @property
    def score(self) -> float | None: ...
    @property
    def success(self) -> bool: ...
    @property
    def finished(self) -> bool: ...


@dataclass(frozen=True)
class RewardPart:
    """One thing that a reward is made of, in the environment's own word: reports count it.

    ``name`` stands after "share that" (``bought``, ``solved``), ``holds`` says whether an episode
    belongs to it, ``meaning`` explains it below a table. ``with_reward``: whether the mean reward
    of these episodes is worth a column of its own. ``better`` is whether a policy should have more
    or fewer of them, which reports warn about; empty where neither is true.

    A module declares ``REWARD_PARTS``, a sequence of these, beside ``open_environment``; they are
    read without opening anything. Without the declaration it is ``(FINISHED,)``.
    """

    name: str
    holds: Callable[[ScoredEpisode], bool]
    meaning: str
    with_reward: bool = True
    better: Literal["more", "fewer", ""] = ""


def _finished(episode: ScoredEpisode) -> bool:
    return episode.finished


FINISHED = RewardPart(
    "finished",
    _finished,
    "ended by the agent's own doing, not by the step limit, overflow or unparsable output",
    better="more",
)
"""What every environment has; ``dataclasses.replace`` gives it the environment's own word."""


_DEFAULTS = OptionalFeatures()


def optional(environment: Environment, name: str) -> Any:
    """The attribute ``name`` of ``OptionalFeatures`` as the environment has it, or its default."""
    return getattr(environment, name, getattr(_DEFAULTS, name))


def begin_episode(environment: Environment, task: str, seed: int) -> Episode:
    """A fresh episode of a task; where the environment is stochastic, that of ``seed``."""
    if not optional(environment, "stochastic"):
        return environment.episode(task)
    seeded: Callable[[str, int], Episode] = environment.seeded_episode  # type: ignore[attr-defined]
    return seeded(task, seed)


INVALID_FORMAT = "Observation: Invalid format. The input must contains 'Action: '"
"""What an output without ``Action: `` is answered with (ETO's wrapper, all environments)."""

"""The sampling plan: which episodes exist, how they fall into shards, and their seeds.

A shard is (source policy, block of tasks, sample number): the unit of lock-step play, of resuming
and of distribution. The number of samples M is not part of any shard's key, so asking for more
samples later only adds shards. Sample i uses setting ``i mod len(settings)``, so M = 6 over three
settings gives two samples of each; every source policy gets all M samples of every task.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import orjson

from tratree_cli.agents.episode import EpisodeRequest
from tratree_cli.errors import InputError

DEFAULT_SETTING: Mapping[str, Any] = {"temperature": 1.0, "top_p": 1.0}


def setting_grid(
    temperatures: Sequence[float] = (1.0,), top_ps: Sequence[float] = (1.0,)
) -> list[dict[str, Any]]:
    """Every combination of temperature and top-p, temperatures outermost; checked for sense."""
    for temperature in temperatures:
        if not 0 <= temperature <= 100:
            raise InputError(f"temperature {temperature} is not between 0 and 100")
    for top_p in top_ps:
        if not 0 < top_p <= 1:
            raise InputError(f"top-p {top_p} is not in (0, 1]")
    return [{"temperature": float(t), "top_p": float(p)} for t, p in product(temperatures, top_ps)]


def digest(document: Any) -> str:
    """sha256 (hex) of the canonical JSON of ``document``."""
    return hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()


def episode_seed(seed: int, task: str, sample: int, setting: Mapping[str, Any], role: str) -> int:
    """The 63-bit seed of one episode; nothing else enters it.

    ``role`` is the role of the policy in the experiment (``weak``, ``strong``), not its bytes:
    policies that are compared are played with the same draws.
    """
    text = digest(["episode", seed, task, sample, dict(setting), role])
    return int(text[:16], 16) >> 1


@dataclass(frozen=True)
class Shard:
    """A fixed list of episodes that is always played together. ``key`` names its file."""

    key: str
    source: int
    sample: int
    setting: int
    block: int
    requests: tuple[EpisodeRequest, ...]


@dataclass(frozen=True)
class SamplingPlan:
    """``m`` samples of every task and source over the settings.

    ``sources`` are names that identify the policies for good (object digests, not positions), and
    ``roles`` what each of them is in the experiment, which their episodes' seeds follow.
    ``context`` is whatever else changes an episode (environment key, prompt, token limits); it
    enters every shard's key, so a folder of shards can be shared by different runs. ``at_once``
    episodes of a shard of ``block`` tasks are played together (0: all): a place that becomes free
    takes the next task, so that only the end of a shard waits for its longest episodes.
    """

    tasks: Sequence[str]
    m: int = 1
    settings: Sequence[Mapping[str, Any]] = (DEFAULT_SETTING,)
    seed: int = 0
    block: int = 32
    sources: Sequence[str] = ("",)
    context: Mapping[str, Any] = field(default_factory=dict)
    roles: Sequence[str] = ()
    at_once: int = 0

    def __post_init__(self) -> None:
        if min(self.m, self.block) < 1 or not self.settings or not self.sources:
            raise InputError(
                "a sampling plan needs at least one sample, setting, source and task per block"
            )
        if len(set(self.tasks)) != len(self.tasks):
            raise InputError("a task is named twice in the sampling plan")
        if self.roles and len(self.roles) != len(self.sources):
            raise InputError("a sampling plan needs one role for each policy")
        if len(set(self.sources)) != len(self.sources):
            raise InputError(
                "a policy is named twice; its second episodes would be the same, "
                "ask for more samples (-m) instead"
            )

    @property
    def refilled(self) -> bool:
        """Whether a shard has more episodes than are played at once."""
        return 0 < self.at_once < self.block

    @property
    def episodes(self) -> int:
        """Number of episodes of the whole plan."""
        return len(self.tasks) * self.m * len(self.sources)

    def shards(self) -> list[Shard]:
        """All shards, sample by sample, so that an early stop has seen every task."""
        return list(self._shards())

    def part(self, index: int, count: int) -> list[Shard]:
        """The shards of part ``index`` (from 1) of ``count``: every count-th one."""
        if not 1 <= index <= count:
            raise InputError(
                f"there is no part {index}/{count}; parts are 1/{count}..{count}/{count}"
            )
        return self.shards()[index - 1 :: count]

    def _shards(self) -> Iterator[Shard]:
        for sample in range(self.m):
            setting = sample % len(self.settings)
            for source, name in enumerate(self.sources):
                for block, first in enumerate(range(0, len(self.tasks), self.block)):
                    tasks = self.tasks[first : first + self.block]
                    yield self._shard(sample, setting, source, name, block, tasks)

    def _shard(
        self, sample: int, setting: int, source: int, name: str, block: int, tasks: Sequence[str]
    ) -> Shard:
        sampling = self.settings[setting]
        role = self.roles[source] if self.roles else ""
        document = {
            "format": 2,
            "context": dict(self.context),
            "seed": self.seed,
            "sample": sample,
            "setting": dict(sampling),
            "source": name,
            "role": role,
            "tasks": list(tasks),
            **({"at_once": self.at_once} if self.refilled else {}),
        }
        requests = tuple(
            EpisodeRequest(
                task=task,
                sample=sample,
                setting=setting,
                seed=episode_seed(self.seed, task, sample, sampling, role),
                source=source,
            )
            for task in tasks
        )
        return Shard(digest(document), source, sample, setting, block, requests)

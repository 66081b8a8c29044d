"""Which task another program means: by name, by its place in a split, or by a seed.

Rows of data sets and JSON of all kinds end up here, so a number may be written as text and a whole
number as a float; anything else is an error that names what is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from tratree_cli.envs.protocol import Environment
from tratree_cli.errors import InputError, did_you_mean

SPLIT = "train"


class TaskChooser:
    """Tasks of one environment; ``split`` is the one that is meant where none is named."""

    def __init__(self, environment: Environment, split: str = "") -> None:
        self._environment = environment
        self.name = environment.spec.name
        self.splits: Mapping[str, Sequence[str]] = environment.splits()
        filled = [name for name, tasks in self.splits.items() if tasks]
        if not filled:
            raise InputError(f"{self.name} has no tasks")
        self.split = self._known(split) if split else SPLIT if SPLIT in filled else filled[0]
        self.tasks()  # an empty split is refused now
        self._taken: dict[str, int] = {}

    def tasks(self, split: str | None = None) -> Sequence[str]:
        """The tasks of a split, which is not empty; ``InputError`` names the nearest."""
        name = self.split if split is None else self._known(split)
        if not self.splits[name]:
            raise InputError(f"the split {name} of {self.name} has no tasks")
        return self.splits[name]

    def choose(
        self,
        *,
        split: object = None,
        task: object = None,
        index: object = None,
        seed: object = None,
    ) -> str:
        """The task that is meant; without task, index and seed the next one in the split's order.

        ``index`` counts from 0 within the split; ``seed`` draws from the split, the same seed the
        same task, and is ignored beside a task or an index. ``InputError`` for what is unknown.
        """
        if split is not None and not isinstance(split, str):
            raise InputError(f"split is a name, not {split!r:.40}")
        if task is not None:
            if index is not None:
                raise InputError("give task or index, not both")
            return self._task(task, split)
        tasks = self.tasks(split)
        if index is not None:
            number = whole_number("index", index)
            if not 0 <= number < len(tasks):
                raise InputError(
                    f"there is no index {number} in {split or self.split}; "
                    f"it has {len(tasks)} tasks, from 0"
                )
            return tasks[number]
        if seed is not None:
            return tasks[Random(whole_number("seed", seed)).randrange(len(tasks))]
        taken = self._taken.get(split or self.split, 0)
        self._taken[split or self.split] = taken + 1
        return tasks[taken % len(tasks)]

    def _task(self, task: object, split: str | None) -> str:
        name = task if isinstance(task, str) else str(whole_number("task", task))
        if split is not None and name not in self.tasks(split):
            raise InputError(f"the split {split} of {self.name} has no task '{name[:80]}'")
        self._environment.max_steps(name)  # an unknown task is refused here
        return name

    def _known(self, split: str) -> str:
        if split not in self.splits:
            raise InputError(
                f"{self.name} has no split '{split[:80]}'{did_you_mean(split[:80], self.splits)}; "
                f"it has {', '.join(self.splits)}"
            )
        return split


def whole_number(name: str, value: object) -> int:
    """``value`` as a whole number: 3, 3.0 or "3"; ``InputError`` otherwise."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and len(value) < 20:
        digits = value.removeprefix("-")
        if digits.isascii() and digits.isdecimal():
            return int(value)
    raise InputError(f"{name} is a whole number, not {value!r:.40}")

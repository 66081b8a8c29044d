"""Evaluation protocols: the named settings under which published figures were measured.

A protocol is one TOML file in ``templates/protocols/``: a version, a title, and for each
environment its parameters, its tasks (a split or a range of task numbers), its prompt, how answers
are decoded, and what the data must hold. It is laid over the configuration of an evaluation alone;
what the evaluated policy was trained on keeps its own. A file of one's own is named by its path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from tratree_cli.config import Config, read_toml
from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.resources import templates_dir
from tratree_cli.settings import overlay
from tratree_cli.stages.environments import environment_sizes

TEST = "test"
FULL_SCORE = "full-score"


@dataclass(frozen=True)
class ProtocolSetting:
    """A protocol in one environment.

    ``tasks`` are task numbers, ``first-last``, and stand for the split where they are given;
    ``needs`` are sizes that the environment must have (``"test tasks" = 134``) and ``fetch`` is the
    command that brings such data. ``best_of`` says that its authors also report a best of N.
    ``success = "full-score"`` counts a score of 1 alone as success; empty: the environment's own.
    """

    split: str = TEST
    tasks: str = ""
    prompt: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    needs: dict[str, Any] = field(default_factory=dict)
    fetch: str = ""
    best_of: bool = False
    success: str = ""
    eval: dict[str, Any] = field(default_factory=dict)
    explore: dict[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """What the protocol sets, as a nested configuration."""
        env = {"parameters": self.parameters, **({"prompt": self.prompt} if self.prompt else {})}
        return {
            "env": env,
            "eval": {"split": self.split, "limit": 0, **self.eval},
            "explore": dict(self.explore),
        }


@dataclass(frozen=True)
class Protocol:
    """A named, versioned protocol and its setting in each environment that it has."""

    name: str
    version: int
    title: str
    settings: Mapping[str, ProtocolSetting]
    content: str = ""
    """The first digits of the sha256 of a file of one's own; two files may have one name."""

    @property
    def identity(self) -> str:
        """What an evaluation is keyed by and a report tells apart: ``paper 1``, ``own 1 3f2a``."""
        return " ".join(filter(None, (self.name, str(self.version), self.content)))

    def setting(self, environment: str) -> ProtocolSetting:
        if environment not in self.settings:
            raise InputError(
                f"the protocol '{self.name}' has no setting for {environment}; "
                f"it has {', '.join(self.settings)}"
            )
        return self.settings[environment]


def protocols() -> list[str]:
    """Names of the protocols that ship with tratree."""
    return sorted(path.stem for path in (templates_dir() / "protocols").glob("*.toml"))


@lru_cache(maxsize=8)
def load_protocol(name: str) -> Protocol:
    """A shipped protocol by name, or a TOML file by path."""
    path = templates_dir() / "protocols" / f"{name}.toml"
    if name not in protocols():
        path = Path(name)
        if path.suffix != ".toml" or not path.is_file():
            raise InputError(
                f"there is no protocol '{name}'{did_you_mean(name, protocols())}; shipped: "
                f"{', '.join(protocols())}; or give the path of a .toml file"
            )
        if path.stem in protocols():
            raise InputError(f"{path} has the name of a shipped protocol; give the file another")
    shipped = path.parent == templates_dir() / "protocols"
    content = "" if shipped else hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    document = read_toml(path)
    version, title = document.pop("version", None), document.pop("title", path.stem)
    if type(version) is not int or version < 1:
        raise InputError(f"the protocol {path} needs a version, a whole number from 1")
    settings = {}
    for environment, values in document.items():
        if not isinstance(values, Mapping):
            raise InputError(f"the protocol {path}: '{environment}' is not an environment's table")
        origin = f"the protocol {path}"
        setting = overlay(ProtocolSetting(), values, origin, path=f"{environment}.")
        Config().with_values(setting.values(), origin)
        numbered(setting.tasks)
        if not all(type(size) is int for size in setting.needs.values()):
            raise InputError(f"{origin}: needs are whole numbers")
        if setting.success not in ("", FULL_SCORE):
            raise InputError(f"{origin}: success is empty or {FULL_SCORE}, not {setting.success!r}")
        settings[environment] = setting
    return Protocol(path.stem, version, str(title), settings, content)


def under_protocol(config: Config) -> Config:
    """``config`` with its protocol's settings laid over it; as it is where it names none.

    Raises ``InputError`` where the environment's data are not those that the protocol needs.
    """
    if not config.eval.protocol:
        return config
    protocol = load_protocol(config.eval.protocol)
    setting = protocol.setting(config.env.name)
    applied = config.with_values(setting.values(), f"the protocol '{protocol.name}'")
    # The goals that a protocol wants may not be there at all, so the data are looked at without it.
    sizes = environment_sizes(config)
    for what, wanted in setting.needs.items():
        if sizes.get(what) != wanted:
            found = f"{sizes[what]:,}" if what in sizes else "no such thing"
            fetch = f"`{setting.fetch}` downloads them, then say" if setting.fetch else "say"
            raise InputError(
                f"the protocol '{protocol.name}' needs {config.env.name} data with {wanted:,} "
                f"{what}, and {config.env.data} has {found}; {fetch} --data DIR"
            )
    return applied


def require_best_of(config: Config) -> None:
    """Refuse a best of N under a protocol that has none."""
    if config.eval.protocol:
        protocol = load_protocol(config.eval.protocol)
        if not protocol.setting(config.env.name).best_of:
            raise InputError(f"the protocol '{protocol.name}' has no best of N; drop one of them")


def refuse_contradictions(config: Config, told: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Refuse what the command line says against the protocol that is in force.

    ``told`` are nested values with the place where each was said. A prompt or an environment's
    parameter contradicts only where the protocol itself was named on the command line: elsewhere
    they are about what a study trains.
    """
    if not config.eval.protocol:
        return
    protocol = load_protocol(config.eval.protocol)
    wanted = dict(_leaves(protocol.setting(config.env.name).values()))
    here = any("protocol" in values.get("eval", {}) for _, values in told)
    for origin, values in told:
        for key, value in _leaves(values):
            concerns = here or key.startswith("eval.")
            if concerns and key in wanted and value != wanted[key]:
                raise InputError(
                    f"{origin}: the protocol '{protocol.name}' sets {key} to {wanted[key]!r}, "
                    f"not {value!r}; drop one of the two"
                )


def numbered(tasks: str) -> tuple[str, ...]:
    """The task names of a range: ``0-2`` is 0, 1, 2. Empty for an empty text."""
    if not tasks:
        return ()
    first, dash, last = tasks.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise InputError(f"tasks are a range of numbers such as 0-499, not '{tasks}'")
    return tuple(map(str, range(int(first), int(last) + 1)))


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value

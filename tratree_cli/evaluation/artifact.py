"""The ``evaluation`` artifact: figures, episodes, and the descriptor needed to compare them.

``metrics.json`` holds the figures and the descriptor, ``results.jsonl.zst`` one line per episode.
The trajectories may be stored beside them as rollouts (for case studies); figures need none.
Equal results give equal bytes: nothing that depends on a clock or a machine is inside (seconds
belong to the store's provenance and meet the figures in the report).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tratree_cli.errors import InputError
from tratree_cli.evaluation.bootstrap import Interval
from tratree_cli.evaluation.metrics import Group, Metrics
from tratree_cli.evaluation.results import EpisodeResult, result_from
from tratree_cli.formats.rollouts import read_jsonl, write_jsonl

FORMAT = 1
METRICS = "metrics.json"
RESULTS = "results.jsonl.zst"


@dataclass(frozen=True)
class Budget:
    """What a policy was given to learn from; None = unknown (an external model).

    ``demonstrations``: expert trajectories imitated or preferred anywhere in its making;
    ``episodes``: environment episodes whose reward was read (the weak model's exploration);
    ``optimizer_steps``: updates of the evaluated model's own weights, all its stages together.
    """

    demonstrations: int | None = 0
    episodes: int | None = 0
    optimizer_steps: int | None = 0
    tokens: int | None = None


UNKNOWN_BUDGET = Budget(None, None, None)


@dataclass(frozen=True)
class Descriptor:
    """Which policy was evaluated on what.

    ``label`` is for people; ``method`` is a registered method or any other word (shown
    after the known ones); ``environment`` and ``split`` are where, ``family`` names the strong
    base model, ``weak`` the weak one (Tables 6-7), ``seed`` is the training seed and makes runs
    comparable across methods, and ``data_seed`` the order of rows where it did not follow that.
    ``parameters`` are the settings a sweep varies (``explore.m``,
    ``dpo.beta``, ...) and ``varied`` names those whose value is not the recipe's own, so that a
    sweep's cells never enter the main tables. ``protocol`` names the evaluation protocol and its
    version, empty where the recipe's own settings hold. ``warnings`` travel into every report:
    restricted decoding, an explored test split, a base-initialised policy.
    """

    label: str
    method: str
    environment: str = ""
    split: str = ""
    family: str = ""
    weak: str = ""
    seed: int | None = None
    data_seed: int | None = None
    best_of: int | None = None
    budget: Budget = UNKNOWN_BUDGET
    protocol: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    varied: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def task_set(self) -> str:
        """The split, with the protocol where there is one: figures of two are never compared."""
        return f"{self.split} ({self.protocol})" if self.protocol else self.split


@dataclass(frozen=True)
class Evaluation:
    """What ``read_evaluation`` returns."""

    descriptor: Descriptor
    metrics: Metrics
    results: tuple[EpisodeResult, ...] = ()


def write_evaluation(
    folder: Path,
    metrics: Metrics,
    results: Sequence[EpisodeResult],
    descriptor: Descriptor,
) -> None:
    """Write both files of an ``evaluation`` artifact into ``folder``."""
    described = asdict(descriptor)
    if not descriptor.protocol:
        del described["protocol"]  # as evaluations were written before there were protocols
    if descriptor.data_seed is None:
        del described["data_seed"]  # likewise
    document = {
        "format": FORMAT,
        "descriptor": described,
        "metrics": metrics_document(metrics),
    }
    (folder / METRICS).write_bytes(
        orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2) + b"\n"
    )
    write_jsonl(folder / RESULTS, (result.record() for result in results))


def read_evaluation(folder: Path, *, with_results: bool = True) -> Evaluation:
    """Read what ``write_evaluation`` wrote; without results only the small file is opened."""
    path = folder / METRICS
    try:
        document = orjson.loads(path.read_bytes())
        if document["format"] != FORMAT:
            raise InputError(
                f"{path} has format {document['format']}, this version reads {FORMAT}: "
                "evaluate again or use the version of tratree that wrote it"
            )
        descriptor = descriptor_from(document["descriptor"])
        metrics = metrics_from(document["metrics"])
        results = tuple(map(result_from, read_jsonl(folder / RESULTS))) if with_results else ()
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise InputError(f"{folder} is not an evaluation: {missing} is missing") from error
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{folder} does not hold a readable evaluation: {error}") from error
    return Evaluation(descriptor, metrics, results)


def descriptor_from(document: Mapping[str, Any]) -> Descriptor:
    """A descriptor from its JSON mapping."""
    fields = dict(document)
    fields["budget"] = Budget(**fields["budget"])
    fields["warnings"] = tuple(fields["warnings"])
    fields["varied"] = tuple(fields["varied"])
    return Descriptor(**fields)


def metrics_document(metrics: Metrics) -> dict[str, Any]:
    """Metrics as a JSON mapping (JSON has no integer keys)."""
    document = asdict(metrics)
    if metrics.best_of is not None:
        document["best_of"] = {str(n): asdict(interval) for n, interval in metrics.best_of.items()}
    return document


def metrics_from(document: Mapping[str, Any]) -> Metrics:
    """Metrics from their JSON mapping."""
    fields = dict(document)
    for name in ("reward", "success", "perfect", "finished", "steps", "invalid"):
        fields[name] = None if fields[name] is None else Interval(**fields[name])
    for name in ("types", "settings"):
        fields[name] = tuple(map(_group_from, fields[name]))
    if fields["best_of"] is not None:
        fields["best_of"] = {
            int(n): Interval(**interval) for n, interval in fields["best_of"].items()
        }
    fields["curve"] = tuple(Interval(**interval) for interval in fields["curve"])
    fields["notes"] = tuple(fields["notes"])
    return Metrics(**fields)


def _group_from(document: Mapping[str, Any]) -> Group:
    fields = dict(document)
    fields["reward"] = Interval(**fields["reward"])
    fields["success"] = Interval(**fields["success"])
    return Group(**fields)

"""Every parameter of the pipeline, in sections, with its type, default and meaning.

A recipe (TOML) overrides the defaults below, the working folder's ``tratree.toml`` overrides the
recipe, and the command line (``--set section.key=value`` and the named flags) overrides both. The
paper's settings live in ``templates/recipes/paper-*.toml``; where the paper is silent the default
is ours, and the field's note says ``(ours)``.

The trade-off: one flat dataclass per section is longer than a free dictionary, but an unknown or
ill-typed key is caught before anything runs, and the documentation is generated from here.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.resources import template_folders, templates_dir
from tratree_cli.training.params import (
    ATTENTION,
    DTYPES,
    LENGTH_POLICIES,
    LOSSES,
    SCHEDULERS,
)

PROJECT_FILE = "tratree.toml"


@dataclass(frozen=True)
class Bounds:
    """What a value may be: from ``least`` to ``most``, more than ``above``, one of ``words``."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    words: Sequence[str] = ()

    def wanted(self, value: Any) -> str:
        """What ``value`` must be and is not; empty where it is. NaN is nothing."""
        if self.words and value not in self.words:
            return f"one of {', '.join(filter(None, self.words))}"
        if self.least is not None and not value >= self.least:
            return f"at least {self.least}"
        if self.above is not None and not value > self.above:
            return f"above {self.above}"
        if self.most is not None and not value <= self.most:
            return f"at most {self.most}"
        return ""


def note(default: Any, text: str, **bounds: Any) -> Any:
    """A dataclass field with a default, the sentence that documents it, and its ``Bounds``."""
    about = {"note": text, "bounds": Bounds(**bounds)}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=about)
    return field(default=default, metadata=about)


@dataclass(frozen=True)
class EnvSection:
    name: str = note("webshop", "the environment (`tratree env list`)")
    data: str = note("embedded", "`embedded`, or a folder with the environment's own files")
    prompt: str = note("quick", "a folder of templates/prompts/<env>/, or a path")
    parameters: dict[str, Any] = note({}, "settings of the environment itself (page_size, ...)")


@dataclass(frozen=True)
class ModelsSection:
    weak: str = note("tratree-s", "base of the weak model: embedded name, folder, or hub name")
    strong: str = note("tratree-m", "base of the strong model")


@dataclass(frozen=True)
class DemosSection:
    policy: str = note("expert", "who demonstrates")
    split: str = note("train", "split the demonstrations come from")
    tasks: int = note(200, "number of demonstrated tasks, 0 for all (ours)", least=0)
    min_score: float = note(0.0, "demonstrations below this score are left out (ours)")


@dataclass(frozen=True)
class SftSection:
    epochs: float = note(3.0, "passes over the demonstrations (ours)", above=0)
    learning_rate: float = note(1e-5, "peak learning rate (section 4.1)", above=0)
    batch_size: int = note(32, "trajectories per optimizer step (section 4.1)", least=1)
    micro_batch: int = note(
        0, "trajectories per forward pass, 0 for the whole batch (ours)", least=0
    )
    scheduler: str = note("cosine", "learning-rate schedule (section 4.1)", words=SCHEDULERS)
    warmup: float = note(0.03, "share of the steps that warm up (ours)", least=0)
    weight_decay: float = note(0.0, "AdamW weight decay (ours)", least=0)
    max_length: int = note(4096, "longest conversation in tokens (ours)", least=0)
    too_long: str = note(
        "error", "what to do beyond it: error, drop, keep-last-turns (ours)", words=LENGTH_POLICIES
    )
    lora_r: int = note(64, "LoRA rank, 0 trains all weights (section 4.1)", least=0)
    lora_alpha: int = note(128, "LoRA alpha (section 4.1)")
    lora_targets: list[str] = note(["all-linear"], "modules with an adapter, by name (ours)")
    lora_dropout: float = note(0.0, "dropout in the adapters (ours)", least=0)
    lora_merge: bool = note(True, "fold adapters into the weights; false stores the adapter alone")
    packing: bool = note(False, "SFT: several conversations to a sequence, unseen by each other")
    attention: str = note("auto", "auto, eager, sdpa, flash_attention_2, ...", words=ATTENTION)
    gradient_checkpointing: bool = note(False, "recompute activations: less memory, more time")
    dtype: str = note(
        "auto", "arithmetic: float32, bfloat16, or auto (bfloat16 on a GPU)", words=DTYPES
    )
    save_dtype: str = note("float32", "stored weights: float32 or bfloat16", words=DTYPES[1:])
    checkpoint_every: float = note(0.2, "share or number of steps, 0 for none (not keyed)", least=0)
    diverge_from: str = note("", "Eq. 5, read by `tratree sft`: the model to move away from")
    diverge_weight: float = note(0.3, "Eq. 5: lambda (ours)", least=0)
    diverge_cap: float = note(
        0.2, "Eq. 5: nats per token beyond which KL earns nothing (ours)", least=0
    )


@dataclass(frozen=True)
class ExploreSection:
    m: int = note(6, "M, trajectories per task (Fig. 4 peaks at 6)", least=1)
    temperature: list[float] = note(
        [1.0], "sampling temperatures, sample i uses the i-th (ours)", least=0
    )
    top_p: list[float] = note(
        [1.0], "nucleus masses, crossed with the temperatures (ours)", above=0, most=1
    )
    split: str = note("train", "split that is explored")
    tasks: int = note(0, "number of explored tasks, 0 for all", least=0)
    task_ids: list[str] = note([], "explored tasks by name; empty for the first of the split")
    explorer: str = note(
        "weak", "whose exploration: weak or strong (the SFT models)", words=("weak", "strong")
    )
    max_new_tokens: int = note(256, "longest answer in tokens (ours)", least=1)
    max_context: int = note(4096, "longest conversation in tokens (ours)", least=1)
    constrain: bool = note(False, "decode only available actions; labelled wherever it is used")
    block: int = note(
        64, "tasks per shard; fixes which episodes share a forward pass (ours)", least=1
    )


@dataclass(frozen=True)
class TreeSection:
    merge: str = note("similar", "exact or similar", words=("exact", "similar"))
    threshold: float = note(0.95, "xi_sim, cosine at which observations merge (ours)", least=-1)
    guard: str = note(
        "",
        "numbers-equal: texts with different numbers never merge (ours)",
        words=("", "numbers-equal"),
    )
    embedder: str = note("offline", "offline, or any sentence-transformers model")


@dataclass(frozen=True)
class PairsSection:
    rule: str = note(
        "tree",
        "tree, unstructured, eto or ceiling",
        words=("tree", "unstructured", "eto", "ceiling"),
    )
    select: str = note(
        "best-worst",
        "which branches are paired: all, best-worst, adjacent (ours)",
        words=("all", "best-worst", "adjacent"),
    )
    min_gap: float = note(0.1, "smallest difference of aggregated scores (ours)", least=0)
    per_node: int = note(1, "pairs per divergence point, 0 for no limit (ours)", least=0)
    per_task: int = note(2, "pairs per task, 0 for no limit (ours)", least=0)
    horizon: int = note(0, "steps of each continuation, 0 to the end (ours)", least=0)


@dataclass(frozen=True)
class MctsSection:
    rollouts: int = note(100, "search iterations per tree (section 4.2)", least=1)
    gamma: float = note(1.41, "exploration constant of Eq. 7 (ours)", least=0)
    select: str = note(
        "mean",
        "how e* is read off: mean, visits or max (3.2: mean)",
        words=("mean", "visits", "max", "best-observed"),
    )
    min_score: float = note(0.0, "e* with a score at or below this is dropped (ours)")


@dataclass(frozen=True)
class TrainSection:
    init: str = note("sft", "where the strong model starts: sft, base, or a reference")
    epochs: float = note(3.0, "passes over the e* paths (ours)", above=0)
    learning_rate: float = note(1e-5, "peak learning rate of imitation (section 4.1)", above=0)


@dataclass(frozen=True)
class DpoSection:
    beta: float = note(0.1, "beta of Eq. 6 (section 4.1)", above=0)
    ref: str = note("", "KL reference: weak, strong-sft, none, a reference; empty for the method's")
    epochs: float = note(1.0, "passes over the pairs (ours)", above=0)
    learning_rate: float = note(2e-5, "peak learning rate (section 4.1)", above=0)
    batch_size: int = note(32, "pairs per optimizer step (section 4.1)", least=1)
    nll_weight: float = note(0.0, "weight of an NLL term on the preferred side (ours)", least=0)
    explicit_kl: bool = note(False, "Eq. 6 as written, with the full KL term beside the DPO loss")
    loss_type: str = note(
        "sigmoid", "any loss of TRL's DPO: sigmoid, ipo, hinge, ... (ours)", words=LOSSES
    )
    label_smoothing: float = note(
        0.0, "share of pairs assumed to be labelled wrongly (ours)", least=0
    )


@dataclass(frozen=True)
class EvalSection:
    split: str = note("test", "split that is evaluated")
    tasks: int = note(0, "number of tasks, 0 for all", least=0)
    samples: int = note(1, "episodes per task", least=1)
    temperature: float = note(0.0, "0 is greedy", least=0)
    top_p: float = note(1.0, "nucleus mass when sampling", above=0, most=1)


@dataclass(frozen=True)
class ReportSection:
    methods: list[str] = note(
        ["expert", "random", "sft-weak", "sft-strong", "tree-dpo", "mcts", "unstructured-dpo"],
        "rows of the report",
    )
    held_out: int = note(
        0,
        "dev tasks whose pairs test what the policies prefer (section 3.3), 0: none (ours)",
        least=0,
    )


@dataclass(frozen=True)
class Config:
    """The effective configuration: what a recipe, the project file and the flags add up to."""

    recipe: str = "quick"
    seed: int = note(0, "decides every draw", least=0, most=2**32 - 1)
    env: EnvSection = field(default_factory=EnvSection)
    models: ModelsSection = field(default_factory=ModelsSection)
    demos: DemosSection = field(default_factory=DemosSection)
    sft: SftSection = field(default_factory=SftSection)
    explore: ExploreSection = field(default_factory=ExploreSection)
    tree: TreeSection = field(default_factory=TreeSection)
    pairs: PairsSection = field(default_factory=PairsSection)
    mcts: MctsSection = field(default_factory=MctsSection)
    train: TrainSection = field(default_factory=TrainSection)
    dpo: DpoSection = field(default_factory=DpoSection)
    eval: EvalSection = field(default_factory=EvalSection)
    report: ReportSection = field(default_factory=ReportSection)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def with_values(self, values: Mapping[str, Any], origin: str) -> Config:
        """A copy with nested ``values`` laid over it; ``origin`` names them in errors."""
        return typing.cast(Config, _overlay(self, values, origin, ""))


def from_dict(document: Mapping[str, Any], origin: str) -> Config:
    """The configuration stored in an artifact's provenance."""
    return Config().with_values(document, origin)


def recipes() -> list[str]:
    """Names of the recipes that ship with tratree."""
    return sorted(path.stem for path in (templates_dir() / "recipes").glob("*.toml"))


def load_recipe(name: str, environment: str = "") -> Config:
    """A shipped recipe by name, or a TOML file by path, for ``environment`` if one is named.

    An environment may have a version of a recipe of its own, which its name then means:
    ``quick`` for ``alfworld`` is ``quick-alfworld.toml``. Otherwise the recipe serves every
    environment, without what its ``[env]`` section says about another one.
    """
    path = _recipe_path(name, environment)
    document = read_toml(path)
    about = document.get("env", {})
    if environment and isinstance(about, dict):
        other = about.get("name", environment) != environment
        document["env"] = {**({} if other else about), "name": environment}
    config = Config().with_values(document, f"recipe {path}")
    return dataclasses.replace(config, recipe=name)


def _recipe_path(name: str, environment: str) -> Path:
    folders = [folder / "recipes" for folder in template_folders(environment)]
    for wanted in (f"{name}-{environment}.toml", f"{name}.toml"):
        for folder in folders:
            if (folder / wanted).is_file():
                return folder / wanted
    path = Path(name)
    if path.suffix != ".toml" or not path.is_file():
        hint = did_you_mean(name, recipes())
        raise InputError(
            f"there is no recipe '{name}'{hint}; shipped recipes: {', '.join(recipes())}; "
            "or give the path of a .toml file"
        )
    return path


def read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def parse_assignment(text: str) -> dict[str, Any]:
    """``section.key=value`` as a nested mapping; the value is TOML, or else a plain string."""
    path, equals, raw = text.partition("=")
    if not equals or not path.strip():
        raise InputError(f"--set {text}: expected section.key=value")
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        value = raw
    nested: Any = value
    for part in reversed(path.strip().split(".")):
        nested = {part: nested}
    return typing.cast(dict[str, Any], nested)


def all_keys() -> list[str]:
    """``section.key`` of every parameter, for messages and the documentation."""
    keys = []
    for section in fields(Config):
        if section.name in ("recipe", "seed"):
            keys.append(section.name)
        else:
            keys += [f"{section.name}.{key.name}" for key in fields(_section_type(section.name))]
    return keys


def _section_type(name: str) -> Any:
    return typing.get_type_hints(Config)[name]


def _overlay(target: Any, values: Mapping[str, Any], origin: str, path: str) -> Any:
    hints = typing.get_type_hints(type(target))
    bounds = {one.name: one.metadata.get("bounds", Bounds()) for one in fields(target)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        dotted = f"{path}{key}"
        if key not in hints:
            hint = did_you_mean(dotted, all_keys())
            raise InputError(f"{origin}: unknown parameter '{dotted}'{hint}")
        current = getattr(target, key)
        if is_dataclass(current):
            if not isinstance(value, Mapping):
                raise InputError(f"{origin}: '{dotted}' is a section, not a value")
            changes[key] = _overlay(current, value, origin, f"{dotted}.")
        elif isinstance(current, dict) and isinstance(value, Mapping):
            changes[key] = {**current, **value}
        else:
            changes[key] = _coerce(value, hints[key], origin, dotted)
            for one in changes[key] if isinstance(changes[key], list) else [changes[key]]:
                if wanted := bounds[key].wanted(one):
                    hint = did_you_mean(str(one), bounds[key].words)
                    raise InputError(f"{origin}: '{dotted}' must be {wanted}, not {one!r}{hint}")
    return dataclasses.replace(target, **changes)


def _coerce(value: Any, hint: Any, origin: str, dotted: str) -> Any:
    wanted = typing.get_origin(hint) or hint
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if wanted is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if wanted is list:
        (inner,) = typing.get_args(hint)
        items: Sequence[Any] = value if isinstance(value, list | tuple) else [value]
        return [_coerce(item, inner, origin, dotted) for item in items]
    if (
        isinstance(wanted, types.UnionType)
        or not isinstance(value, wanted)
        or (wanted is int and isinstance(value, bool))
    ):
        raise InputError(f"{origin}: '{dotted}' must be {_spoken(hint)}, not {value!r}")
    return value


def _spoken(hint: Any) -> str:
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    return names.get(hint, str(hint))

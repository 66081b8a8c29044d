"""The parameters of a training, and its result. Values only; imports nothing heavy."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tratree_cli.errors import InputError, did_you_mean
from tratree_cli.sections import (
    ATTENTION,
    CONTINUATION,
    CURRICULA,
    DTYPES,
    LOSSES,
    NLL_ON,
    NLL_PER,
    SCHEDULERS,
    SMOOTHED_LOSSES,
    SORTING_LOSSES,
    TREE_PACKING,
)

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow", "comet_ml")
ALL_LINEAR = "all-linear"
LOWER = (
    "lower sft.micro_batch (the effective batch stays), set sft.gradient_checkpointing=true, or "
    "train an adapter (sft.lora_r=64) instead of all weights"
)
"""What to do where memory is short."""


class Progress(Protocol):
    """Called after each optimizer step; ``facts`` has loss, and margin and accuracy for DPO."""

    def __call__(self, done: int, total: int, facts: Mapping[str, float]) -> None: ...


def silent(done: int, total: int, facts: Mapping[str, float]) -> None:
    """A ``Progress`` that shows nothing."""


@dataclass(frozen=True)
class LoraParams:
    """Low-rank adapters (the paper: r 64, alpha 128).

    ``targets`` are module names, or ``all-linear`` for every linear layer but the output head.
    ``merge`` folds the adapter into the weights when the training is done, which makes the model
    folder complete in itself; otherwise the folder holds the adapter and names its base.
    """

    r: int = 64
    alpha: int = 128
    targets: str | tuple[str, ...] = ALL_LINEAR
    dropout: float = 0.0
    merge: bool = True


@dataclass(frozen=True)
class TrainingParams:
    """What SFT and DPO share.

    ``batch_size`` rows per process and forward pass, ``accumulation`` of them per optimizer step;
    their product with the number of processes is the effective batch. ``epochs`` counts passes over
    the rows unless ``max_steps`` > 0 says how many optimizer steps to take. ``warmup`` is a share
    of the steps (< 1) or their number. ``dtype`` is the precision of the arithmetic: ``auto`` is
    bfloat16 on a GPU and float32 elsewhere; weights are stored in ``save_dtype``.
    ``data_seed`` orders the rows where that is not to follow ``seed``.
    ``track`` names services that transformers reports to (none unless asked for), ``run_name``
    what the run is called there.
    ``tree_packing`` computes tokens that rows of one tree share once (``training.tree_packing``);
    rows of one tree then meet in a batch. ``curriculum`` puts the rows of a pass in order instead,
    from easy to hard (``training.curriculum``).
    ``checkpoint_every`` is a share of the steps (< 1), their number, or 0 for no checkpoints.
    """

    learning_rate: float = 1e-5
    epochs: float = 1.0
    max_steps: int = 0
    batch_size: int = 8
    accumulation: int = 1
    warmup: float = 0.0
    scheduler: str = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora: LoraParams | None = None
    dtype: str = "auto"
    save_dtype: str = "float32"
    device: str = "auto"
    attention: str = "auto"
    gradient_checkpointing: bool = False
    group_by_length: bool = True
    tree_packing: str = "off"
    curriculum: str = ""
    checkpoint_every: float = 0.2
    seed: int = 0
    data_seed: int | None = None
    threads: int = 1
    track: tuple[str, ...] = ()
    run_name: str = ""

    @property
    def order_seed(self) -> int:
        """What orders the rows."""
        return self.seed if self.data_seed is None else self.data_seed

    def __post_init__(self) -> None:
        _known("scheduler", self.scheduler, SCHEDULERS)
        _known("dtype", self.dtype, DTYPES)
        _known("save_dtype", self.save_dtype, DTYPES[1:])
        for tracker in self.track:
            _known("tracker", tracker, TRACKERS)
        _known("attention", self.attention, ATTENTION)
        _known("tree_packing", self.tree_packing, TREE_PACKING)
        _known("curriculum", self.curriculum, CURRICULA)
        for name in ("batch_size", "accumulation", "threads"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.max_steps <= 0 and self.epochs <= 0:
            raise InputError("a training needs epochs > 0 or max_steps > 0")
        if not self.learning_rate > 0:
            raise InputError(f"learning_rate must be above 0, not {self.learning_rate}")


@dataclass(frozen=True)
class SFTParams(TrainingParams):
    """Supervised training (Eq. 4, Eq. 8). ``packing`` fills sequences of ``max_length`` tokens with
    several conversations that do not see each other; 0 means the longest row's length.

    ``diverge_weight`` is lambda of Eq. 5 and ``diverge_cap`` (nats per token) the largest mean KL
    that is still rewarded; both matter only to the explorer.
    """

    packing: bool = False
    pack_length: int = 0
    diverge_weight: float = 0.3
    diverge_cap: float = 0.2


@dataclass(frozen=True)
class DPOParams(TrainingParams):
    """Preference training (Eq. 6).

    ``preference_weight`` is the weight of the loss on pairs; 0 leaves the terms beside it alone.
    ``nll_weight`` adds the chosen side's negative log-likelihood, which keeps small models from
    drifting: its mean over the tokens that ``nll_on`` names (``training.nll_tokens``), or with
    ``nll_per`` of ``pair`` the mean over pairs of their sums. ``explicit_kl`` adds
    beta * KL(policy || reference) as Eq. 6 writes it (a live reference with the same tokenizer is
    needed). ``loss_type`` is any of TRL's.
    ``turn_discount`` above 0 weighs the turns of each side as DMPO does
    (``training.turn_weights``); the rows' reference log-probabilities are then weighed likewise
    (``ReferenceLogps.discounted``).
    ``use_weighting`` weighs each pair as WPO does (TRL's).
    """

    learning_rate: float = 2e-5
    beta: float = 0.1
    loss_type: str = "sigmoid"
    nll_weight: float = 0.0
    explicit_kl: bool = False
    label_smoothing: float = 0.0
    preference_weight: float = 1.0
    nll_on: str = CONTINUATION
    turn_discount: float = 0.0
    use_weighting: bool = False
    nll_per: str = "token"

    @property
    def own_nll(self) -> bool:
        """Whether the NLL term is taken beside TRL's losses, which would weigh its tokens too."""
        plain = self.nll_on == CONTINUATION and self.nll_per == "token"
        return not plain or self.turn_discount > 0 or self.use_weighting

    def __post_init__(self) -> None:
        super().__post_init__()
        _known("loss_type", self.loss_type, LOSSES)
        _known("nll_on", self.nll_on, NLL_ON)
        _known("nll_per", self.nll_per, NLL_PER)
        if not self.beta > 0:
            raise InputError(f"beta must be above 0, not {self.beta}")
        _not_negative("preference_weight", self.preference_weight)
        _not_negative("nll_weight", self.nll_weight)
        if not 0 <= self.turn_discount <= 1:
            raise InputError(f"turn_discount must be from 0 to 1, not {self.turn_discount}")
        if refused := loss_refused(self.loss_type, self.label_smoothing, self.use_weighting):
            raise InputError(refused)


@dataclass(frozen=True)
class JointParams(DPOParams):
    """Imitation and preference in every update.

    The loss is ``imitation_weight`` times the NLL of the paths, a mean per token, plus the loss on
    pairs of ``DPOParams``. ``batch_size`` counts rows of each kind, ``epochs`` passes over the
    paths. ``curriculum`` is that of the pairs, ``path_curriculum`` that of the paths.
    """

    imitation_weight: float = 3.0
    path_curriculum: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        _not_negative("imitation_weight", self.imitation_weight)
        _known("path_curriculum", self.path_curriculum, CURRICULA)


@dataclass(frozen=True)
class Sharing:
    """How much rows share: ``flat`` tokens of all rows, ``unique`` tokens that are computed.

    ``repeated`` of the latter are computed again because their tree is cut: its rows meet in
    several batches or pieces, and each of those has the beginning that they share.
    """

    flat: int
    unique: int
    repeated: int = 0

    @property
    def ratio(self) -> float:
        """Flat over unique tokens, at least 1."""
        return self.flat / self.unique if self.unique else 1.0


@dataclass(frozen=True)
class TrainingResult:
    """What a training did.

    ``curves`` maps a measure to (step, value) points. ``tokens`` is the number of tokens read and
    ``scored`` of those that entered the loss, over all epochs; ``seconds`` is wall time (of this
    run, after a resume) and is recorded, never stored with the model. ``resumed_from`` is the step
    a killed run had reached; ``processes`` and ``strategy`` (in accelerate's words, empty for one
    process) say what actually trained together; ``remarks`` are sentences about how, for people.
    ``update_kept`` is the share of the update that each type of weight keeps (``models.merge``),
    empty where weights are stored as they were trained.
    ``sharing`` is what one pass over the rows shared, None where rows were computed one by one.
    """

    steps: int
    tokens: int
    scored: int
    seconds: float
    curves: Mapping[str, Sequence[tuple[int, float]]] = field(default_factory=dict)
    facts: Mapping[str, float] = field(default_factory=dict)
    resumed_from: int = 0
    processes: int = 1
    strategy: str = ""
    remarks: tuple[str, ...] = ()
    update_kept: Mapping[str, float] = field(default_factory=dict)
    sharing: Sharing | None = None

    @property
    def scored_share(self) -> float:
        return self.scored / self.tokens if self.tokens else 0.0


def loss_refused(loss_type: str, label_smoothing: float, use_weighting: bool) -> str:
    """Why a loss on pairs cannot be taken with these settings; empty where it can."""
    if loss_type in SMOOTHED_LOSSES and not label_smoothing:
        return (
            f"dpo.loss_type = {loss_type} needs dpo.label_smoothing above 0; its authors take 1e-3"
        )
    if loss_type in SORTING_LOSSES and use_weighting:
        return (
            f"dpo.use_weighting gives each pair a weight, and dpo.loss_type = {loss_type} sorts "
            "the pairs of a batch; choose another loss, or leave use_weighting off"
        )
    return ""


def check_trackers(names: Sequence[str]) -> None:
    """``InputError`` for a tracker that is unknown or not installed."""
    for name in names:
        _known("tracker", name, TRACKERS)
        if importlib.util.find_spec(name) is None:
            raise InputError(f"--track {name} needs a package: pip install {name}")


def _not_negative(name: str, value: float) -> None:
    if not value >= 0:
        raise InputError(f"{name} must be at least 0, not {value}")


def _known(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise InputError(
            f"unknown {name} '{value}'{did_you_mean(value, known)}; known: {', '.join(known)}"
        )

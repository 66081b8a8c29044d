"""The sections of a configuration: every parameter with its type, default, bounds and meaning.

Where the paper is silent the default is ours, and the field's note says ``(ours)``. The
documentation (docs/parameters.md) is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from tratree_cli.settings import OVERRIDES, named_overrides, note, override

SCHEDULERS = ("cosine", "linear", "constant", "constant_with_warmup")
LENGTH_POLICIES = ("error", "drop", "keep-last-turns")
TREE_PACKING = ("auto", "on", "off")


def packing_note() -> str:
    """The parameter of each training. What was made before it was there was trained by rows."""
    return note(  # type: ignore[no-any-return]
        "auto",
        "compute what rows of a tree share once: auto (where enough is shared), on, off (ours)",
        absent="off",
        choices=TREE_PACKING,
    )


DTYPES = ("auto", "float32", "bfloat16")
ATTENTION = ("auto", "eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention")
LOSSES = (
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop", "sigmoid_norm",
)  # fmt: skip
"""TRL's losses on pairs; ``sft``, which it counts among them, is ``nll_weight`` here."""

LEFT_OUT = (
    "none", "successes", "near-misses", "low-scores", "unfinished", "step-limit",
    "context-overflow", "unparsable",
)  # fmt: skip
"""The strata of ``formats.strata``, which is not imported for a plan."""
SMOOTHED_LOSSES = ("exo_pair",)
"""Losses that are infinite where no pair counts as labelled wrongly."""
SORTING_LOSSES = ("aot", "aot_unpaired")
"""Losses that sort the pairs of a batch, so that no pair can have a weight of its own."""
CURRICULA = ("", "gap", "length")
"""By what pairs are put in order, from easy to hard; paths have a length alone."""

CONTINUATION = "continuation"
NLL_ON = ("turn", CONTINUATION, "path")
"""The tokens of a pair's chosen side that the NLL term is taken over."""
NLL_PER = ("token", "pair")
"""What the NLL term is a mean over: these tokens, or pairs, each with the sum over its tokens."""
AS_SFT = -1.0
"""The ``dpo.warmup`` that stands for ``sft.warmup``."""


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
    weak_chat_template_kwargs: dict[str, Any] = note(
        {}, "arguments of the weak base model's chat template, as {enable_thinking = false}"
    )
    strong_chat_template_kwargs: dict[str, Any] = note(
        {}, "arguments of the strong base model's chat template"
    )

    def chat_template_kwargs(self, role: str) -> dict[str, Any]:
        """The arguments of the ``weak`` or the ``strong`` base model's chat template."""
        return (
            self.weak_chat_template_kwargs if role == "weak" else self.strong_chat_template_kwargs
        )


@dataclass(frozen=True)
class DemosSection:
    policy: str = note("expert", "who demonstrates")
    split: str = note("train", "split the demonstrations come from")
    limit: int = note(200, "only the first N tasks are demonstrated, 0: all (ours)", least=0)
    min_score: float = note(0.0, "demonstrations below this score are left out (ours)")


@dataclass(frozen=True)
class TrainingSection:
    """What SFT, imitation of paths and preference training share."""

    micro_batch: int = note(
        0, "trajectories per forward pass, 0 for the whole batch (ours)", least=0
    )
    scheduler: str = note("cosine", "learning-rate schedule (section 4.1)", choices=SCHEDULERS)
    warmup: float = note(0.03, "share of the steps that warm up (ours)", least=0)
    weight_decay: float = note(0.0, "AdamW weight decay (ours)", least=0)
    max_length: int = note(4096, "longest conversation in tokens (ours)", least=0)
    too_long: str = note(
        "error",
        "what to do beyond it: error, drop, keep-last-turns (ours)",
        choices=LENGTH_POLICIES,
    )
    lora_r: int = note(64, "LoRA rank, 0 trains all weights (section 4.1)", least=0)
    lora_alpha: int = note(128, "LoRA alpha (section 4.1)")
    lora_targets: list[str] = note(
        ["all-linear"], "modules with an adapter, by name (ours)", absent=["all-linear"]
    )
    lora_dropout: float = note(0.0, "dropout in the adapters (ours)", absent=0.0, least=0)
    lora_merge: bool = note(
        True, "fold adapters into the weights; false stores the adapter alone", absent=True
    )
    attention: str = note(
        "auto", "auto, eager, sdpa, flash_attention_2, ...", absent="auto", choices=ATTENTION
    )
    gradient_checkpointing: bool = note(
        False, "recompute activations: less memory, more time", absent=False
    )
    dtype: str = note(
        "auto", "arithmetic: float32, bfloat16, or auto (bfloat16 on a GPU)", choices=DTYPES
    )
    save_dtype: str = note(
        "float32", "stored weights: float32 or bfloat16", absent="float32", choices=DTYPES[1:]
    )
    checkpoint_every: float = note(
        0.2, "share or number of steps, 0 for none (not keyed)", keyed=False, least=0
    )


AUTO: Literal["auto"] = "auto"
"""The ``sft.epochs`` that are chosen on dev, and the ``explore.block`` that memory decides."""
AS_SEED = -1
"""The ``train.data_seed`` that stands for ``seed``."""


@dataclass(frozen=True)
class SftSection(TrainingSection):
    epochs: float | Literal["auto"] = note(
        3.0, "passes over the demonstrations; auto: chosen on the dev split (ours)", above=0
    )
    auto_epochs: list[float] = note(
        [8.0, 16.0, 24.0, 40.0, 64.0],
        "what auto tries, in rising order; the last is its budget (ours)",
        keyed=False,
        above=0,
    )
    auto_patience: int = note(
        2, "auto stops after so many longer trainings without a gain (ours)", keyed=False, least=1
    )
    auto_tasks: int = note(
        200, "dev tasks that auto plays after each, 0 for all (ours)", keyed=False, least=0
    )
    learning_rate: float = note(1e-5, "peak learning rate (section 4.1)", above=0)
    batch_size: int = note(32, "trajectories per optimizer step (section 4.1)", least=1)
    packing: bool = note(
        False, "SFT: several conversations to a sequence, unseen by each other", absent=False
    )
    tree_packing: str = packing_note()
    diverge_from: str = note(
        "", "Eq. 5, read by `tratree sft`: the model to move away from", keyed=False
    )
    diverge_weight: float = note(0.3, "Eq. 5: lambda (ours)", absent=0.0, least=0)
    diverge_cap: float = note(
        0.2, "Eq. 5: nats per token beyond which KL earns nothing (ours)", absent=0.0, least=0
    )

    @property
    def shared(self) -> TrainingSection:
        """What preference training takes over from here."""
        names = [key.name for key in fields(TrainingSection)]
        return TrainingSection(**{name: getattr(self, name) for name in names})


@dataclass(frozen=True)
class SftByRole(SftSection):
    """The section ``sft`` with what differs for one of the two models."""

    weak: dict[str, Any] = override("keys of [sft] for the weak model alone: sft.weak.epochs, ...")
    strong: dict[str, Any] = override(
        "keys of [sft] for the strong model alone, also as it trains on"
    )

    def of(self, role: str) -> SftSection:
        """The section as it holds for the ``weak`` or the ``strong`` model."""
        names = [key.name for key in fields(SftSection)]
        common = SftSection(**{name: getattr(self, name) for name in names})
        return replace(common, **getattr(self, role))


SFT_ROLES = tuple(key.name for key in fields(SftByRole) if key.metadata.get(OVERRIDES))
"""The models that ``[sft.ROLE]`` can speak of by itself."""


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
    limit: int = note(0, "only the first N tasks are explored, 0: all", least=0)
    task_ids: list[str] = note([], "explored tasks by name (`--tasks`); empty: those of the split")
    explorer: str = note(
        "weak",
        "whose exploration: weak, strong (the SFT models) or both, M samples a task of each",
        choices=("weak", "strong", "both"),
    )
    policy: str = note(
        "", "a scripted policy that explores in the weak model's place: misaligned:0.5, ... (ours)"
    )
    backend: str = note("local", "the engine that plays models: local, or a plug-in's")
    extra_body: dict[str, Any] = note(
        {}, "further fields of requests to a served policy (`--extra-body`), as {top_k = 20}"
    )
    max_new_tokens: int = note(256, "longest answer in tokens (ours)", least=1)
    max_context: int = note(4096, "longest conversation in tokens (ours)", least=1)
    constrain: bool = note(False, "decode only available actions; labelled wherever it is used")
    dtype: str = note(
        "auto",
        "in what models play: float32, bfloat16, or auto (bfloat16 on a GPU)",
        absent="auto",
        choices=DTYPES,
    )
    block: int | Literal["auto"] = note(
        64,
        "tasks per shard, which share forward passes; auto: what fits into free memory (ours)",
        least=1,
    )
    shard: int = note(
        0,
        "tasks per shard where that is more than `block`, which then says how many are played at "
        "once: a place that becomes free takes the next task (ours)",
        absent=0,
        least=0,
    )
    reading: str = note(
        "each",
        "how the local engine reads: each (every conversation all of its text) or shared (what all "
        "of them begin with once, and nothing padded) (ours)",
        absent="each",
        choices=("each", "shared"),
    )


@dataclass(frozen=True)
class TreeSection:
    merge: str = note(
        "similar",
        "exact; similar; graph: as similar, with equal states of different histories joined too",
        choices=("exact", "similar", "graph"),
    )
    threshold: float = note(0.95, "xi_sim, cosine at which observations merge (ours)", least=-1)
    guard: str = note(
        "",
        "numbers-equal: texts with different numbers never merge (ours)",
        choices=("", "numbers-equal"),
    )
    embedder: str = note("offline", "offline, or any sentence-transformers model")


@dataclass(frozen=True)
class PairsSection:
    rule: str = note(
        "tree", "the pair rule: tree, graph, unstructured, eto, ceiling or a plug-in's"
    )
    select: str = note(
        "best-worst",
        "which branches are paired: all, best-worst, adjacent (ours)",
        choices=("all", "best-worst", "adjacent"),
    )
    min_gap: float = note(0.1, "smallest difference of aggregated scores (ours)", least=0)
    per_node: int = note(1, "pairs per divergence point, 0 for no limit (ours)", least=0)
    per_task: int = note(2, "pairs per task, 0 for no limit (ours)", least=0)
    level: str = note(
        "",
        "what is compared: trajectory (to the end), step (`horizon` turns), mixed (both of each); "
        "empty: step where `horizon` is set, else trajectory (ours)",
        choices=("", "trajectory", "step", "mixed"),
    )
    horizon: int = note(
        0, "turns of each continuation at level step or mixed, 0 for one (ours)", least=0
    )
    min_chosen: float = note(
        0.0, "least final score of the chosen side's trajectory (ours)", least=0, most=1
    )
    keep_invalid: bool = note(
        False, "keep pairs one of whose first turns was unparsable or had no effect (ours)"
    )
    per_kind: int = note(
        0, "pairs per task and kind of what differs, 0 for no limit (ours)", least=0
    )
    tie_break: str = note(
        "",
        "at equal value: shorter (the shorter way to one score is preferred), or no pair (ours)",
        choices=("", "shorter"),
    )
    mirror: bool = note(
        False,
        'for "A rather than an action that ends the episode" with a perfect chosen trajectory also '
        "the opposite at its end (ours)",
    )
    leave_out: str = note(
        "none",
        "trajectories that pairs are mined without: none, successes, near-misses (G from 0.5 on), "
        "low-scores, unfinished, or one ending (ours)",
        choices=LEFT_OUT,
    )
    skip_preferred: bool = note(
        False, "leave out pairs whose chosen first turn the initial model finds likelier (ours)"
    )
    skip_margin: float = note(0.0, "... by more than so many nats (ours)", least=0)
    parameters: dict[str, Any] = note({}, "settings of plug-ins' pair rules, each under its name")
    rules: dict[str, Any] = named_overrides(
        "other values of this section for single pair rules, each under the rule's name"
    )


@dataclass(frozen=True)
class MctsSection:
    rollouts: int = note(100, "search iterations per tree (section 4.2)", least=1)
    gamma: float = note(1.41, "exploration constant of Eq. 7 (ours)", least=0)
    select: str = note(
        "mean",
        "how e* is read off: mean, visits or max (3.2: mean)",
        choices=("mean", "visits", "max", "best-observed"),
    )
    min_score: float = note(0.0, "e* with a score at or below this is dropped (ours)")
    stitch: bool = note(
        False,
        "also play paths through several trajectories; what is better becomes a trajectory (ours)",
    )
    stitch_tries: int = note(5, "such paths that are played of each imperfect task (ours)", least=1)
    min_walks: int = note(
        1, "e* ends where at least so many trajectories do, if any leaf has them (ours)", least=1
    )


@dataclass(frozen=True)
class TrainSection:
    init: str = note("sft", "where the strong model starts: sft, base, or a reference")
    epochs: float = note(3.0, "passes over the e* paths (ours)", above=0)
    learning_rate: float = note(1e-5, "peak learning rate of imitation (section 4.1)", above=0)
    demo_share: float = note(
        0.0,
        "share of demonstrations among the rows of a pass over paths, 0 for none (ours)",
        absent=0.0,
        least=0,
        most=0.95,
    )
    tree_packing: str = packing_note()
    curriculum: str = note(
        "",
        "order of the paths in a pass: length (those with the fewest agent's tokens first), after "
        "HPL (arXiv 2510.03253); empty: shuffled",
        choices=("", "length"),
    )
    data_seed: int = note(
        AS_SEED,
        "order of the rows in all training of the strong model after SFT; -1: as seed (ours)",
        absent=-1,
        least=AS_SEED,
        most=2**32 - 1,
    )
    parameters: dict[str, Any] = note({}, "settings of plug-ins' trainers, each under its name")


@dataclass(frozen=True)
class DpoSection:
    beta: float = note(0.1, "beta of Eq. 6 (section 4.1)", above=0)
    ref: str = note(
        "",
        "KL reference: weak, strong-sft, init (where the training starts), none, a reference; "
        "empty for the method's",
        keyed=False,
    )
    epochs: float = note(1.0, "passes over the pairs (ours)", above=0)
    learning_rate: float = note(2e-5, "peak learning rate (section 4.1)", above=0)
    batch_size: int = note(32, "pairs per optimizer step (section 4.1)", least=1)
    nll_weight: float = note(0.0, "weight of an NLL term on the preferred side (ours)", least=0)
    nll_on: str = note(
        CONTINUATION,
        "its tokens: the first turn, the continuation, or the path from its beginning (ours)",
        absent=CONTINUATION,
        choices=NLL_ON,
    )
    nll_per: str = note(
        "token",
        "a mean over tokens, or (pair) the sum over a pair's, as IPR has it (arXiv 2406.11176)",
        absent="token",
        choices=NLL_PER,
    )
    scheduler: str = note(
        "",
        "learning-rate schedule of preference training; empty: sft.scheduler",
        absent="",
        choices=("", *SCHEDULERS),
    )
    warmup: float = note(
        AS_SFT,
        "share of its steps (or their number) that warm up; -1: sft.warmup",
        absent=-1.0,
        least=AS_SFT,
    )
    preference_weight: float = note(
        1.0, "weight of the loss on pairs; 0 leaves the NLL term alone (ours)", absent=1.0, least=0
    )
    explicit_kl: bool = note(False, "Eq. 6 as written, with the full KL term beside the DPO loss")
    loss_type: str = note(
        "sigmoid",
        "any loss of TRL's DPO: sigmoid, ipo, hinge, ... (ours); sigmoid_norm divides each side's "
        "log-ratio by its number of tokens",
        absent="sigmoid",
        choices=LOSSES,
    )
    tree_packing: str = packing_note()
    label_smoothing: float = note(
        0.0, "share of pairs assumed to be labelled wrongly (ours)", absent=0.0, least=0
    )
    turn_discount: float = note(
        0.0,
        "g of DMPO (arXiv 2406.14868): turn j of the T turns of a side counts "
        "g^j (1 - g^(T-j)) / (1 - g^T), j from 0; 0: every turn counts 1",
        absent=0.0,
        least=0,
        most=1,
    )
    use_weighting: bool = note(
        False,
        "weigh each pair by how likely its two sides are under the model that is trained: WPO "
        "(arXiv 2406.11827, Eq. 2), for pairs that others played",
        absent=False,
    )
    curriculum: str = note(
        "",
        "order of the pairs in a pass, from easy to hard: gap (the widest first) or length (those "
        "with the fewest agent's tokens first), the axes of HPL (arXiv 2510.03253); empty: as "
        "batches are filled best",
        absent="",
        choices=CURRICULA,
    )


@dataclass(frozen=True)
class JointSection:
    """Imitation of e* and preferences in every update (the trainer ``joint``)."""

    nll_weight: float = note(3.0, "weight of the NLL of the e* paths (ours)", least=0)
    preference_weight: float = note(1.0, "weight of the DPO loss on pairs (ours)", least=0)
    chosen_nll_weight: float = note(
        0.0,
        "weight of an NLL term on the pairs' preferred side, as dpo.nll_on says (ours)",
        least=0,
    )
    batch_size: int = note(0, "paths and pairs per update, 0: as sft.batch_size (ours)", least=0)
    learning_rate: float = note(0.0, "peak learning rate, 0: that of imitation, train's", least=0)
    epochs: float = note(0.0, "passes over the e* paths, 0: those of imitation, train's", least=0)
    updates: int = note(0, "optimizer steps in place of epochs, 0: by epochs (ours)", least=0)


@dataclass(frozen=True)
class RoundsSection:
    """Exploring, growing the trees and training again (methods ``METHOD/rounds``)."""

    number: int = note(1, "rounds at most; `run --rounds` (ours)", least=1)
    explorer: str = note(
        "strong",
        "who plays in later rounds: strong (the model of the round before), weak (whoever explored "
        "in the first round, with new draws) or both (ours)",
        choices=("strong", "weak", "both"),
    )
    init: str = note(
        "last",
        "where a later round's training starts: last (the model of the round before, as in ETO), "
        "sft (the strong SFT model)",
        choices=("last", "sft"),
    )
    patience: int = note(
        1, "ends after so many rounds without a gain on dev, 0: plays them all (ours)", least=0
    )
    dev_tasks: int = note(200, "dev tasks played after each round, 0 for all (ours)", least=0)


@dataclass(frozen=True)
class ChainSection:
    """Models that supervise each other (methods ``METHOD/chain``)."""

    models: list[str] = note(
        [], "models, the smallest first: each one's W2SG model explores for the next; `run --chain`"
    )


@dataclass(frozen=True)
class EvalSection:
    split: str = note("test", "split that is evaluated")
    limit: int = note(0, "only the first N tasks are evaluated, 0: all", least=0)
    samples: int = note(1, "episodes per task", least=1)
    temperature: float = note(0.0, "0 is greedy", least=0)
    top_p: float = note(1.0, "nucleus mass when sampling", above=0, most=1)
    protocol: str = note(
        "", "the setting of published numbers: paper, eto, verl-agent, a .toml; empty: the recipe's"
    )


@dataclass(frozen=True)
class ReportSection:
    methods: list[str] = note(
        ["expert", "random", "sft-weak", "sft-strong", "tree-dpo", "mcts", "unstructured-dpo"],
        "rows of the report",
    )
    controls: list[str] = note(
        ["all"], "controls put beside their methods: all, none ([]), or these (ours)"
    )
    held_out: int = note(
        0,
        "dev tasks whose pairs test what the policies prefer (section 3.3), 0: none (ours)",
        least=0,
    )

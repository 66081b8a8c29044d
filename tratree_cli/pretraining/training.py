"""Pretraining a base model: a plain loop that resumes after a kill.

Blocks of generated text are made as they are needed, packed, trained on and dropped. After some
blocks weights and optimizer state are saved, and a later call with the same configuration goes on
from there. Equal configuration and thread count give equal weights (without ``compiled``, on any
machine with the same kernels).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tratree_cli.errors import StageError
from tratree_cli.models.embedded import SHAPES
from tratree_cli.models.load import load_model, read_tokenizer
from tratree_cli.pretraining.corpora import corpus_of
from tratree_cli.pretraining.corpus import DOCUMENTS_PER_BLOCK, Corpus, Mixture
from tratree_cli.pretraining.growth import grown
from tratree_cli.pretraining.model import new_model
from tratree_cli.pretraining.packing import Rows, encode, pack
from tratree_cli.pretraining.tokenizer import build_tokenizer

OnProgress = Callable[[int, int, str], None]
"""``progress(tokens done, tokens in all, what is going on)``."""


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that decides the weights.

    ``read_share`` is the share of the user's tokens that carry loss, during and after copying;
    ``final_share`` the last learning rate as a share of the peak. ``further`` leaves the curriculum
    out: a model grown from a smaller one can copy already.
    """

    name: str = "tratree-s"
    tokens: int = 20_000_000
    seed: int = 1
    batch_rows: int = 4
    learning_rate: float = 2.5e-3
    final_share: float = 0.05
    warmup_steps: int = 100
    weight_decay: float = 0.01
    read_share: tuple[float, float] = (0.6, 0.05)
    further: bool = False
    compiled: bool = True
    save_every: int = 20
    block_documents: int = DOCUMENTS_PER_BLOCK


GROWING = PretrainConfig(learning_rate=2e-3, final_share=0.3, further=True)
"""For a model grown from a smaller one. It stops at a learning rate that keeps it easy to teach."""


def pretrain(
    config: PretrainConfig,
    out: Path,
    work: Path,
    progress: OnProgress,
    smaller: Path | None = None,
) -> dict[str, Any]:
    """Train ``config.name`` from nothing, or from ``smaller``, and write a model folder to ``out``.

    ``work`` keeps checkpoints and the loss curve between calls. Returns what the model card
    states: tokens, steps, seconds (this call), parameters and the curve.
    """
    started = time.monotonic()
    corpus = corpus_of(SHAPES[config.name].text)
    tokenizer = build_tokenizer(corpus.name)
    run = _Run(config, corpus, tokenizer, work, smaller)
    run.resume()
    while run.tokens < config.tokens:
        documents = corpus.block(config.seed, run.blocks, run.mixture, config.block_documents)
        encoded = encode(documents, tokenizer, corpus.row)
        rows = pack(encoded, tokenizer.pad_token_id, corpus.row)
        run.learn(rows)
        progress(min(run.tokens, config.tokens), config.tokens, f"loss {run.curve[-1][1]:.3f}")
        if run.blocks % config.save_every == 0:
            run.save()
            export(run.model, tokenizer, work / "latest")
    run.save()
    export(run.model, tokenizer, out)
    return {
        "config": asdict(config),
        "tokens": run.tokens,
        "steps": run.steps,
        "seconds": time.monotonic() - started,
        "parameters": sum(weight.numel() for weight in run.model.parameters()),
        "curve": run.curve,
    }


def export(model: Any, tokenizer: Any, folder: Path) -> None:
    """A folder that transformers loads: fp16 weights, config, tokenizer, chat template."""
    folder.mkdir(parents=True, exist_ok=True)
    half = type(model)(model.config).to(torch.float16)
    half.load_state_dict(model.state_dict())
    half.tie_weights()
    half.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def hidden_states(model: Any, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Last hidden states, (batch, length, width), for ``tokens`` (batch, length).

    ``mask`` (batch, 1, length, length) is added to the attention scores: 0 where a position may
    look, -inf where not (the future, other documents of the row).
    """
    output = model.model(input_ids=tokens, attention_mask=mask, use_cache=False)
    states: torch.Tensor = output.last_hidden_state
    return states


class _Run:
    """Weights, optimizer and counters of one pretraining."""

    def __init__(
        self,
        config: PretrainConfig,
        corpus: Corpus,
        tokenizer: Any,
        work: Path,
        smaller: Path | None,
    ) -> None:
        self.config = config
        self.work = work
        self.corpus = corpus
        if smaller is None:
            self.model = new_model(SHAPES[config.name], tokenizer, config.seed)
        else:
            small, small_tokenizer = load_model(smaller), read_tokenizer(smaller)
            self.model = grown(small, small_tokenizer, config.name, tokenizer, config.seed)
        self.weights = dict(self.model.named_parameters())
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=0.0, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.forward = torch.compile(hidden_states) if config.compiled else hidden_states
        self.tokens = self.steps = self.blocks = 0
        self.curve: list[tuple[int, float]] = []

    @property
    def mixture(self) -> Mixture:
        """What is read at this point of the training."""
        if self.config.further:
            return self.corpus.further
        return self.corpus.mixture_at(self.tokens / self.config.tokens)

    def learn(self, rows: Rows) -> None:
        """One block: as many whole batches as it has; the rest is dropped (shapes stay fixed)."""
        config = self.config
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.blocks)
        order = torch.randperm(len(rows), generator=generator)
        rows = Rows(rows.tokens[order], rows.document[order], rows.agent_mask[order])
        losses = []
        for start in range(0, len(rows) - config.batch_rows + 1, config.batch_rows):
            losses.append(self._step(rows.batch(start, config.batch_rows), generator))
        self.blocks += 1
        self.curve.append((self.tokens, round(sum(losses) / max(1, len(losses)), 4)))
        if not math.isfinite(self.curve[-1][1]):
            raise StageError(
                f"pretraining {config.name} diverged after {self.tokens} tokens: lower "
                "learning_rate and start again in an empty work folder"
            )

    def _step(self, rows: Rows, generator: torch.Generator) -> float:
        """One optimizer step; returns the mean loss on the agent's tokens."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        state = self.forward(self.model, rows.tokens, rows.attention())
        follows = (rows.document[:, 1:] == rows.document[:, :-1]) & (rows.document[:, 1:] > 0)
        agent_mask = rows.agent_mask[:, 1:] & follows
        read = torch.rand(agent_mask.shape, generator=generator) < self._read_share()
        chosen = agent_mask | (read & follows)
        logits = state[:, :-1][chosen] @ self.weights["model.embed_tokens.weight"].T
        losses = F.cross_entropy(logits, rows.tokens[:, 1:][chosen], reduction="none")
        losses.mean().backward()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        self.tokens += int((rows.document > 0).sum())
        return float(losses.detach()[agent_mask[chosen]].mean())

    def _learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to ``final_share`` of the peak."""
        config = self.config
        warm = min(1.0, (self.steps + 1) / config.warmup_steps)
        share = min(1.0, self.tokens / config.tokens)
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        return (
            config.learning_rate * warm * (config.final_share + (1 - config.final_share) * cosine)
        )

    def _read_share(self) -> float:
        """Pages repeat themselves, which teaches copying; afterwards only answers matter.

        A look-up is decided by one token of an answer, and everything else that carries loss then
        hides that token's gradient.
        """
        copying, _ = self.corpus.curriculum[0]
        first, last = self.config.read_share
        at_first = not self.config.further and self.tokens < copying * self.config.tokens
        return first if at_first else last

    def save(self) -> None:
        """Checkpoint without pickles: tensors in safetensors, counters in JSON, renamed last."""
        self.work.mkdir(parents=True, exist_ok=True)
        tensors = {f"weight/{name}": weight.data for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            for key, value in self.optimizer.state[weight].items():
                tensors[f"{key}/{name}"] = value
        save_file({k: v.contiguous() for k, v in tensors.items()}, self.work / "new.safetensors")
        counters = {
            "config": asdict(self.config),
            "tokens": self.tokens,
            "steps": self.steps,
            "blocks": self.blocks,
            "curve": self.curve,
        }
        (self.work / "new.json").write_text(json.dumps(counters))
        (self.work / "new.safetensors").replace(self.work / f"state-{self.blocks}.safetensors")
        (self.work / "new.json").replace(self.work / "state.json")
        for old in self.work.glob("state-*.safetensors"):
            if old.name != f"state-{self.blocks}.safetensors":
                old.unlink()

    def resume(self) -> None:
        """Go on from the checkpoint in ``work``, if it was made with this configuration."""
        path = self.work / "state.json"
        if not path.exists():
            return
        counters = json.loads(path.read_text())
        if counters["config"] != json.loads(json.dumps(asdict(self.config))):
            raise StageError(f"{self.work} holds another pretraining; use an empty work folder")
        tensors = load_file(self.work / f"state-{counters['blocks']}.safetensors")
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(tensors[f"weight/{name}"])
                self.optimizer.state[weight] = {
                    key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                }
        self.tokens, self.steps = counters["tokens"], counters["steps"]
        self.blocks = counters["blocks"]
        self.curve = [(int(at), float(loss)) for at, loss in counters["curve"]]

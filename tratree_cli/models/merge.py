"""Turning a trained model into the one that is stored, without losing what was learnt.

A base held in bfloat16 cannot take in an adapter: a weight's neighbours in that type lie 0.4 %
apart, and a training moves it by far less, so the sum is the old weight again. Adapters are
therefore added in float32 to the weights that the base's folder holds. What the stored type then
keeps of the update is measured, because rounding loses it in the same way there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tratree_cli.models.held import NEARLY_ALL
from tratree_cli.models.load import load_model

TYPES = ("float32", "bfloat16")
PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class FinishedModel:
    """A model in the type that it is stored in.

    ``kept`` is, by type, the share of the update that survives storing it so (``_Kept``). Empty
    where weights are stored as they were trained.
    """

    model: Any
    kept: Mapping[str, float] = field(default_factory=dict)


def finished_model(
    trained: Any, base: Path, save_dtype: str, *, adapter: bool = False, merge: bool = True
) -> FinishedModel:
    """``trained`` as it is stored; with ``adapter`` and ``merge``, one model of both.

    ``base`` is the folder that training started from.
    """
    dtype = getattr(torch, save_dtype)
    if adapter and not merge:
        return FinishedModel(trained.to(dtype))
    if adapter:
        whole = load_model(base, "float32")
        whole.config, whole.generation_config = trained.config, trained.generation_config
        kept = _add(whole, _adapter_updates(trained))
        return FinishedModel(whole.to(dtype), kept)
    if save_dtype == "float32":
        return FinishedModel(trained.to(dtype))
    before = dict(load_model(base, "float32").named_parameters())
    share = _Kept()
    for name, weight in trained.named_parameters():
        start = before[name].data
        share.note(start, weight.data.to("cpu", torch.float32) - start)
    return FinishedModel(trained.to(dtype), share.by_type())


def loss_warning(kept: Mapping[str, float], save_dtype: str) -> str | None:
    """What to say where ``save_dtype`` loses more than a hundredth of the update."""
    share = kept.get(save_dtype, 1.0)
    if share >= NEARLY_ALL:
        return None
    return (
        f"stored as {save_dtype} the model keeps only {100 * share:.0f} % of what it learnt: the "
        "steps are smaller than the type's spacing; use sft.save_dtype=float32, or store the "
        "adapter alone (sft.lora_merge=false)"
    )


def _adapter_updates(trained: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Name and update (float32, CPU) of each weight that has an adapter."""
    from peft.tuners.lora import LoraLayer

    for name, layer in trained.named_modules():
        if not isinstance(layer, LoraLayer):
            continue
        for factors in (layer.lora_A, layer.lora_B, layer.lora_embedding_A, layer.lora_embedding_B):
            factors.to("cpu", torch.float32)
        for adapter in layer.active_adapters:
            delta = layer.get_delta_weight(adapter)
            yield f"{name.removeprefix(PEFT_PREFIX)}.weight", delta.detach().float()


def _add(whole: Any, updates: Iterator[tuple[str, torch.Tensor]]) -> dict[str, float]:
    """Add ``updates`` to the weights of ``whole``; what each type would keep of them."""
    share = _Kept()
    for name, update in updates:
        weight = whole.get_parameter(name).data
        share.note(weight, update)
        weight += update
    return share.by_type()


class _Kept:
    """How much of an update U is in S = stored(base + U) - stored(base), by type.

    Where the type holds the base exactly, all that is wrong with S comes from U: the share kept is
    1 - |S - U| / |U|. Where it does not, rounding the base moves weights about at random by more
    than U does, with or without U; then it is what S has along U, <S, U> / <U, U>. Euclidean over
    all changed weights, within 0 and 1.
    """

    def __init__(self) -> None:
        self._update = 0.0
        self._lost = dict.fromkeys(TYPES, 0.0)
        self._along = dict.fromkeys(TYPES, 0.0)
        self._exact = dict.fromkeys(TYPES, True)

    def note(self, before: torch.Tensor, update: torch.Tensor) -> None:
        self._update += float(update.double().square().sum())
        for name in TYPES:
            dtype = getattr(torch, name)
            start = before.to(dtype)
            stored = (before + update).to(dtype).double() - start.double()
            self._lost[name] += float((stored - update.double()).square().sum())
            self._along[name] += float((stored * update.double()).sum())
            self._exact[name] &= torch.equal(start.to(before.dtype), before)

    def by_type(self) -> dict[str, float]:
        if not self._update:
            return dict.fromkeys(TYPES, 1.0)
        shares = {name: self._share(name) for name in TYPES}
        return {name: round(min(1.0, max(0.0, share)), 4) for name, share in shares.items()}

    def _share(self, name: str) -> float:
        if self._exact[name]:
            return 1 - float((self._lost[name] / self._update) ** 0.5)
        return self._along[name] / self._update

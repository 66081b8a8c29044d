"""Loading a model for the local engine, and proving that the engine computes what it does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tratree_cli.agents.local.attention_masks import layer_masks
from tratree_cli.agents.local.kv_cache import RowCache
from tratree_cli.agents.local.llama import PlainLlama
from tratree_cli.errors import InputError
from tratree_cli.models import load
from tratree_cli.models.devices import choose_device, precision
from tratree_cli.models.fast_imports import MODELS, TOKENIZERS, import_fast
from tratree_cli.models.library_logging import silence_libraries

ForwardPass = Callable[[RowCache, int, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""``forward`` for one model."""
LONGEST_CHECK = 1024
"""The longest window, in tokens, beyond which a model is compared with plain transformers."""


def load_model(place: str | Path, device: str = "auto", dtype: str = "auto") -> tuple[Any, Any]:
    """``(model, tokenizer)`` of a folder or hub name.

    Adapters are merged into a base in float32, and stay beside one in a shorter type.

    The tokenizer is the model's own: what was trained brings the template it was trained with.
    """
    import_fast(*MODELS, *TOKENIZERS)
    where, kind = choose_device(device), precision(device, dtype)
    number = getattr(torch, kind, None)
    if not isinstance(number, torch.dtype):
        raise InputError(f"'{kind}' is no torch dtype; use float32, bfloat16 or float16")
    folder = Path(place) if Path(place).is_dir() else load.resolve_base(str(place)).folder
    with silence_libraries():
        # Attention as the library chooses: SDPA, or eager where a model (Gemma 2) has no other.
        model = load.load_model(folder, kind, merge=kind == "float32")
        return model.to(where), load.read_tokenizer(folder)


def stop_tokens(model: Any) -> list[int]:
    """The ids at which the model's own generation settings stop."""
    eos = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return [] if eos is None else [eos] if isinstance(eos, int) else list(eos)


def supported_context(config: Any) -> int:
    """The longest conversation that the model has positions for.

    A layer's window shortens what that layer looks at, not the conversation.
    """
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions else 1 << 30


def forward(
    model: Any, cache: RowCache, first: int, ids: torch.Tensor, positions: torch.Tensor, length: int
) -> torch.Tensor:
    """Logits ``[rows, vocabulary]`` (float32) after the last of ``ids`` ``[rows, tokens]``.

    ``positions`` are -1 where ``ids`` are padding; row i is the cache's row ``first + i``.
    """
    ids, positions = ids.to(model.device), positions.to(model.device)
    cache.aim(first, positions, length)
    positions = positions.clamp(min=0)
    out = model(
        input_ids=ids,
        attention_mask=layer_masks(model.config).biases(positions, length, model.dtype),
        position_ids=positions,
        past_key_values=cache.view,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: torch.Tensor = out.logits[:, -1].float()
    return logits


def verified_pass(model: Any, cache: RowCache) -> ForwardPass:
    """The forward pass of ``model``, after comparing it with a plain one on a few tokens.

    Architectures whose layers do not all keep plain keys and values fail here, with a sentence,
    instead of sampling wrong tokens.
    """
    size = model.get_input_embeddings().weight.shape[0]
    window = layer_masks(model.config).window or 0
    # Beyond a window, too, unless reading that far would take long.
    tokens = 24 + (window if window <= LONGEST_CHECK else 0)
    ids = (torch.arange(tokens) * 7919 + 13)[None] % size
    advice = "serve it and use openai:URL#model"
    with torch.inference_mode():
        truth = model(input_ids=ids.to(model.device), logits_to_keep=1).logits[0, -1].float()
        cache.reserve(2, tokens)
        try:
            for start, end in ((0, tokens - 13), (tokens - 13, tokens - 1), (tokens - 1, tokens)):
                both = ids[:, start:end].expand(2, -1)
                positions = torch.arange(start, end).expand(2, -1)
                logits = forward(model, cache, 0, both, positions, end)
        except (RuntimeError, TypeError, AttributeError, IndexError, ValueError) as error:
            name = type(model).__name__
            raise InputError(f"the local engine cannot run {name} ({error}); {advice}") from error
    tolerance = 1e-3 if truth.dtype == model.dtype else 0.1
    if float((logits[0] - truth).abs().max()) > tolerance * float(truth.abs().max() + 1):
        raise InputError(f"the local engine does not compute {type(model).__name__}; {advice}")
    if PlainLlama.fits(model):
        longest = max(cache.longest, 16)
        short = PlainLlama(model, longest)
        if _equal(model, short, cache, min(longest, 400)):
            return short
    return partial(forward, model)


def _equal(model: Any, short: ForwardPass, cache: RowCache, tokens: int) -> bool:
    """Whether a faster pass gives exactly the bits of the model's own, logits and cache alike."""
    rows, most = 5, 3 * tokens // 4
    # A chunk of several rows, one answer's token, a chunk of one row.
    spans = ((0, most, rows), (most, most + 1, rows), (most + 1, tokens - 1, 1))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (rows, tokens), generator=generator)
    cache.reserve(rows, tokens)
    assert cache.storage is not None
    kept = cache.storage[..., :tokens, :]
    results: list[list[torch.Tensor]] = []
    ways: list[ForwardPass] = [partial(forward, model), short]
    with torch.inference_mode():
        for read in ways:
            kept.zero_()
            logits = []
            for start, end, count in spans:
                positions = torch.arange(start, end).repeat(count, 1)
                # Rows of different length are padded on the left.
                positions[count // 2, : (end - start) // 3] = -1
                logits.append(read(cache, 0, ids[:count, start:end], positions, end))
            results.append([*logits, kept.clone()])
    return all(torch.equal(first, second) for first, second in zip(*results, strict=True))

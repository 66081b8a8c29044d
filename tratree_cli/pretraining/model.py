"""The shape of the family and its first weights.

One architecture (Llama, four layers), several widths: depth is what lets a small model match two
places of a page, width how well. Three choices made learning to copy and match possible at all
within tens of millions of tokens: heads of 32, rope theta 1000 (contexts are short), and an
embedding of standard deviation d^-0.5. Two more save tokens: a word starts with the same vector
whether or not a blank stands before it, so that what is copied from a sentence is recognised at
the start of a title; and attention starts out inclined to look at what is alike (keys like queries)
and to pass on what it sees (output like the transposed values), which halves the tokens until
copying works (in the spirit of the "mimetic" initialisation of Trockman and Kolter, 2023).
"""

from __future__ import annotations

from typing import Any

from tratree_cli.models.embedded import HEAD, Shape

CONTEXT = 1024
ROPE_THETA = 1000.0
SAME_WORD = 0.9
"""Cosine between the first vectors of a word with and without its leading blank."""

LIKENESS = 0.7
"""Keys start as this much of the queries and as much of their own."""
PASSING = 0.5
"""The output projection starts with this much of the transposed values."""


GROWN_FROM = {
    "tratree-m": "tratree-s",
    "tratree-l": "tratree-m",
    "tratree-rooms-s": "tratree-s",
    "tratree-rooms-m": "tratree-rooms-s",
}
"""The member that another one begins as: narrower, or of another vocabulary
(``pretraining.growth``)."""

TOKENS = {
    "tratree-s": 12_000_000,
    "tratree-m": 1_200_000,
    "tratree-l": 800_000,
    "tratree-rooms-s": 4_000_000,
    "tratree-rooms-m": 1_200_000,
}
"""Tokens that each of the shipped weights learned from, after what it was grown from."""


def new_model(shape: Shape, tokenizer: Any, seed: int) -> Any:
    """A Llama model with fresh weights; equal seed, equal weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=HEAD,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=True,
        attention_bias=False,
        rms_norm_eps=1e-5,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2 and "embed" not in name:
                fan_in = weight.shape[1]
                depth = (2 * shape.layers) ** -0.5 if name.endswith(RESIDUAL) else 1.0
                weight.normal_(0.0, depth * fan_in**-0.5)
        for layer in model.model.layers:
            attention = layer.self_attn
            alike = LIKENESS * attention.q_proj.weight
            attention.k_proj.weight.mul_(LIKENESS).add_(alike)
            attention.o_proj.weight.add_(PASSING * attention.v_proj.weight.T)
        table = model.get_input_embeddings().weight
        table.normal_(0.0, shape.width**-0.5)
        _join_words(table, tokenizer)
    return model


RESIDUAL = ("o_proj.weight", "down_proj.weight")


def _join_words(table: Any, tokenizer: Any) -> None:
    """Give ``word`` and `` word`` nearly the same first vector (in place)."""
    vocabulary = tokenizer.get_vocab()
    for text, number in vocabulary.items():
        plain = vocabulary.get(text.removeprefix("Ġ")) if text.startswith("Ġ") else None
        if plain is not None and len(text) > 2:
            own = (1 - SAME_WORD**2) ** 0.5
            table[number] = SAME_WORD * table[plain] + own * table[number]

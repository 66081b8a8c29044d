"""The family's tokenizer: byte-level BPE, so nothing is ever unknown.

Page furniture (``Back to Search``, ``Buy Now`` and the separators between) is added as ordinary,
non-special tokens, one each: pages become three times shorter, decoding still gives the exact text.
Turn markers are special tokens spelled with control pictures (``␂user``, ``␂agent``, ``␃``). The
chat template replaces those two characters in contents, so no text of a page or of a model can
forge a turn; what people do type, such as ``<|end|>``, is encoded byte for byte like any text.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from tratree_cli.pretraining.documents import WRITERS
from tratree_cli.pretraining.shop import Shop
from tratree_cli.resources import templates_dir

VOCABULARY = 1536
READ = ("copy", "until", "lookup", "match", "option", "play")
"""Kinds of documents that the merges are learned from."""
SEED = 7
END, USER, AGENT, PAD = "␃", "␂user", "␂agent", "␂pad"
SPECIAL = (PAD, END, USER, AGENT)

FURNITURE = (
    "Observation:\n",
    "WebShop [SEP] Instruction: [SEP] ",
    "Instruction: [SEP] ",
    " [SEP] ",
    " [SEP] Search",
    " [SEP] Back to Search [SEP] Page ",
    " (Total results: ",
    ") [SEP] Next >",
    ") [SEP] < Prev [SEP] Next >",
    " [SEP] Back to Search [SEP] < Prev",
    " [SEP] Price: ",
    " [SEP] Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now",
    ", and price lower than ",
    " dollars",
    "Thought: ",
    "\nAction: ",
    "Action: ",
    "search[",
    "click[",
    "]",
    "Buy Now",
    "Next >",
    "< Prev",
    "Back to Search",
    "\nQuestion: ",
    "Question: ",
)

PIECES = (
    r" (?=\$?\d|[A-Z][A-Z0-9]{5})"  # numbers and identifiers look the same after a blank
    r"|[A-Z][A-Z0-9](?=[A-Z0-9]|\b)"  # identifiers, two characters at a time
    r"|\$?\d+\.\d{1,2}(?!\d)"  # prices
    r"|\d{1,3}(?:\p{Ll}{1,2}\b)?"
    r"| ?\p{L}+"
    r"| ?[^\s\p{L}\d]+"
    r"|\s+"
)
"""How text is cut before merges; nothing is dropped, so decoding is exact."""


@cache
def build_tokenizer() -> Any:
    """Train the tokenizer on self-made text; deterministic, once per process (seconds)."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    furniture = [AddedToken(text, normalized=False, special=False) for text in FURNITURE]
    tokenizer.add_tokens(furniture)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.add_tokens(furniture)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[USER, AGENT],
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = (templates_dir() / "chat" / "tratree.jinja").read_text(encoding="utf-8")
    return fast


def _texts() -> Iterator[str]:
    """Contents of every kind of document, without furniture (which never reaches the merges)."""
    rng = random.Random(SEED)
    for _ in range(12):
        shop = Shop(rng)
        for _ in range(150):
            for kind in READ:
                for user, agent in WRITERS[kind](rng, shop, shop.task()):
                    yield from _plain(user)
                    yield from _plain(agent)


def _plain(text: str) -> list[str]:
    for furniture in sorted(FURNITURE, key=len, reverse=True):
        text = text.replace(furniture, "\0")
    return text.split("\0")

"""The family's tokenizer: byte-level BPE, so nothing is ever unknown.

Page furniture (``Back to Search``, ``Buy Now`` and the separators between) is added as ordinary,
non-special tokens, one each: pages become three times shorter, decoding still gives the exact text.
Each corpus has a tokenizer of its own, made of its words.
Turn markers are special tokens spelled with control pictures (``␂user``, ``␂agent``, ``␃``). The
chat template replaces those two characters in contents, so no text of a page or of a model can
forge a turn; what people do type, such as ``<|end|>``, is encoded byte for byte like any text.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from tratree_cli.pretraining.corpora import corpus_of
from tratree_cli.pretraining.corpus import Corpus
from tratree_cli.resources import templates_dir

VOCABULARY = 1536
END, USER, AGENT, PAD = "␃", "␂user", "␂agent", "␂pad"
SPECIAL = (PAD, END, USER, AGENT)


@cache
def build_tokenizer(text: str = "shop") -> Any:
    """Train a corpus' tokenizer on its text; deterministic, once per process (seconds)."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    corpus = corpus_of(text)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(corpus.pieces), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    furniture = [AddedToken(text, normalized=False, special=False) for text in corpus.furniture]
    tokenizer.add_tokens(furniture)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus), trainer)
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


def _texts(corpus: Corpus) -> Iterator[str]:
    """Contents of every kind of document, without furniture (which never reaches the merges)."""
    furniture = sorted(corpus.furniture, key=len, reverse=True)
    for turns in corpus.sample():
        for turn in turns:
            for text in turn:
                for piece in furniture:
                    text = text.replace(piece, "\0")
                yield from text.split("\0")

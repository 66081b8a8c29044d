"""Tiny random models and tokenizers with the special tokens of the real families.

The published tokenizers cannot be downloaded in a test, so tokenizers of the same construction
(byte-level BPE for Llama-3 and Qwen2.5, SentencePiece-like BPE for Llama-2) are trained here.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.formats.pairs import PairMessages

os.environ.setdefault("OMP_NUM_THREADS", "1")
TEMPLATES = Path(__file__).parents[1] / "templates" / "chat"

CORPUS = [
    "Instruction: find me a red cotton shirt size large under 30 dollars",
    "Thought: the search box is open. Action: search[red cotton shirt]",
    "Page 1 [SEP] Next > [SEP] B0123 [SEP] Red shirt [SEP] $12.00 Action: click[b0123]",
    "Action: click[buy now] Thought: this one fits, so I buy it.",
    "Observation: Invalid format. The input must contains 'Action: '",
] * 4

CONVERSATION = [
    {"role": "user", "content": "Instruction: find a red shirt [SEP] Search"},
    {"role": "assistant", "content": "Thought: look for it.\nAction: search[red shirt]"},
    {"role": "user", "content": "Page 1 [SEP] B0123 [SEP] Red shirt"},
    {"role": "assistant", "content": "Action: click[b0123]"},
]

FAMILIES: dict[str, dict[str, Any]] = {
    "llama2": {"bos": "<s>", "eos": "</s>", "others": ["<unk>"]},
    "llama3": {
        "bos": "<|begin_of_text|>",
        "eos": "<|eot_id|>",
        "others": ["<|start_header_id|>", "<|end_header_id|>", "<|end_of_text|>"],
    },
    "qwen2.5": {"bos": None, "eos": "<|im_end|>", "others": ["<|im_start|>", "<|endoftext|>"]},
}


def make_tokenizer(family: str, vocabulary: int = 400) -> Any:
    """A tokenizer built like the family's, trained on a few sentences of a shop."""
    from tokenizers import (
        AddedToken,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    about = FAMILIES[family]
    special = [token for token in (about["bos"], about["eos"], *about["others"]) if token]
    if family == "llama2":
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        tokenizer.normalizer = normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        )
        tokenizer.decoder = decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        )
        alphabet = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary + 256, special_tokens=[*special, *alphabet], show_progress=False
        )
        # SentencePiece learns pieces inside words only, and splits nothing when it encodes.
        tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
        tokenizer.train_from_iterator(CORPUS, trainer)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([])
        # The trainer took the bytes for control tokens, which they are not.
        learnt = json.loads(tokenizer.to_str())
        tokenizer = Tokenizer.from_str(json.dumps({**learnt, "added_tokens": []}))
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=about["bos"], eos_token=about["eos"]
    )
    wrapped.chat_template = (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    return wrapped


def make_model(
    folder: Path, family: str = "qwen2.5", width: int = 32, layers: int = 2, seed: int = 0
) -> Path:
    """A random-weight Llama with a tokenizer of ``family``, saved in ``folder``."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer(family)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            intermediate_size=2 * width,
            num_hidden_layers=layers,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session", params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Each of the published chat formats in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def tokenizer(family: str) -> Any:
    """A tokenizer of ``family`` with the chat template that tratree ships for it."""
    return make_tokenizer(family)


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random policy."""
    return make_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="session")
def weaker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another, smaller random model with the same tokenizer."""
    return make_model(tmp_path_factory.mktemp("weaker"), width=16, layers=1, seed=1)


@pytest.fixture(scope="session")
def conversations() -> list[list[dict[str, str]]]:
    """Twelve short shopping conversations of different lengths."""
    colours = ["red", "blue", "green", "black"]
    made = []
    for number in range(12):
        colour = colours[number % 4]
        messages = [
            {"role": "user", "content": f"Instruction: find a {colour} shirt [SEP] Search"},
            {"role": "assistant", "content": f"Action: search[{colour} shirt]"},
            {"role": "user", "content": "Page 1 [SEP] " + "B0123 [SEP] " * (1 + number % 5)},
            {"role": "assistant", "content": f"Thought: b{number}.\nAction: click[b{number}]"},
        ]
        made.append(messages)
    return made


@pytest.fixture(scope="session")
def pair_documents() -> list[dict[str, list[dict[str, str]]]]:
    """Eight pairs; the continuations hold an observation in their middle."""
    made = []
    for number in range(8):
        prompt = [{"role": "user", "content": f"Instruction: find a shirt {number} [SEP] Search"}]

        def continuation(word: str, more: int) -> list[dict[str, str]]:
            return [
                {"role": "assistant", "content": f"Action: search[{word}]"},
                {"role": "user", "content": "Page 1 [SEP] B0123" + " [SEP] Next" * more},
                {"role": "assistant", "content": f"Action: click[{word}]"},
            ]

        made.append(
            {
                "prompt": prompt,
                "chosen": continuation("red shirt", number % 3),
                "rejected": continuation("blue shoes", (number + 1) % 4),
            }
        )
    return made


@pytest.fixture(scope="session")
def pairs(pair_documents: list[dict[str, list[dict[str, str]]]]) -> list[PairMessages]:
    """``pair_documents`` as training reads them."""
    return [PairMessages(**document) for document in pair_documents]


def digests(folder: Path) -> dict[str, str]:
    """sha256 of each file of a model folder, by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}

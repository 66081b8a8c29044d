"""Tiny models with real tokenizers, made once per session; nothing is downloaded."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.agents.started_engine import FAKE, Engine
from tratree_cli.agents.managed_server import STOP_SECONDS

REPOSITORY = Path(__file__).resolve().parents[2]
if str(REPOSITORY) not in sys.path:
    # Worker processes inherit this path and open the toy environment by its module name.
    sys.path.insert(0, str(REPOSITORY))

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
INST = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<s>[INST] {{ m['content'] | trim }} [/INST]"
    "{% else %} {{ m['content'] | trim }} </s>{% endif %}{% endfor %}"
)
CORPUS = [
    "You are in the hall. Task 7: light the lamp in the cellar.",
    "Thought: I must get to the kitchen.\nAction: go kitchen",
    "Action: light",
    "Nothing happens. No lamp. It is bright. You are in the attic.",
]


def make_model(folder: Path, template: str, specials: list[str], stop: str, **sizes: Any) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS * 5, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=stop, pad_token=stop, chat_template=template
    )
    torch.manual_seed(0)
    config = sizes.get("family", LlamaConfig)(
        vocab_size=len(wrapped) + 5,
        hidden_size=sizes.get("hidden", 32),
        intermediate_size=64,
        num_hidden_layers=sizes.get("layers", 2),
        num_attention_heads=4,
        num_key_value_heads=sizes.get("key_heads", 2),
        max_position_embeddings=sizes.get("positions", 1024),
        initializer_range=0.3,
        tie_word_embeddings=True,
        eos_token_id=wrapped.eos_token_id,
        bos_token_id=None,
        **sizes.get("more", {}),
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chatml_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama with a ChatML template."""
    return make_model(
        tmp_path_factory.mktemp("chatml"), CHATML, ["<|im_start|>", "<|im_end|>"], "<|im_end|>"
    )


@pytest.fixture(scope="session")
def inst_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a template in the manner of Llama 2: trimmed contents, text around them."""
    return make_model(tmp_path_factory.mktemp("inst"), INST, ["<s>", "</s>"], "</s>")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Engines are this program, which behaves well unless it is told not to."""
    notes = tmp_path / "notes"
    notes.mkdir()
    for name, value in {
        "FAKE_VLLM_NOTES": str(notes),
        "FAKE_VLLM_IDS": "[1, 2, 3]",
        "TRATREE_VLLM": shlex.join([sys.executable, str(FAKE)]),
        "TRATREE_SGLANG": shlex.join([sys.executable, str(FAKE)]),
        # Another cache is another server: no test meets one of another.
        "TRATREE_CACHE": str(tmp_path / "cache"),
        STOP_SECONDS: "1",
    }.items():
        monkeypatch.setenv(name, value)
    return Engine(notes, monkeypatch)

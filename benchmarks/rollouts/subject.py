"""What the benchmark runs: a random-weight Llama, and an environment of fixed length.

Random weights sample words without sense, and the number of tokens is what costs; so the
environment takes anything, shows a page of ``page`` words in return and ends after ``steps`` steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tratree_cli.agents.policy import Opening, Policy, Reply, Turn
from tratree_cli.envs.protocol import EnvironmentSpec, Outcome

PAGE = (
    "Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > B09QKP7XQL cotton lamp black "
    "men's slim fit shirt long sleeve size large price $23.99 to $41.00 description features gold "
    "wood Buy Now rating N.A. vintage cushioned storage ottoman machine wash easy assemble"
)
WORDS = PAGE.split()
SIZES = {
    "small": {"hidden_size": 128, "intermediate_size": 344, "num_hidden_layers": 4},
    "medium": {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6},
}
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def make_model(folder: Path, size: str) -> Path:
    """A Llama of one of ``SIZES`` with a byte-level tokenizer trained on the pages."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([PAGE] * 4, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        chat_template=TEMPLATE,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(wrapped),
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        eos_token_id=wrapped.eos_token_id,
        pad_token_id=wrapped.pad_token_id,
        bos_token_id=None,
        **SIZES[size],
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


@dataclass
class PagesEpisode:
    task: str
    steps: int
    page: int
    taken: int = 0

    def reset(self) -> str:
        self.taken = 0
        return self._page()

    def step(self, action: str) -> Outcome:
        self.taken += 1
        return Outcome(self._page(), 0.0, self.taken >= self.steps)

    def available_actions(self) -> Sequence[str]:
        return ["go on"]

    def _page(self) -> str:
        words = random.Random(f"{self.task}/{self.taken}").choices(WORDS, k=self.page)
        return " ".join(words)


class Pages:
    """Tasks without end; every episode takes ``steps`` steps of ``page`` words."""

    def __init__(self, steps: int, page: int) -> None:
        self.steps, self.page = steps, page
        self.spec = EnvironmentSpec("pages", "embedded", "0" * 64)

    def splits(self) -> Mapping[str, Sequence[str]]:
        return {}

    def instruction(self, task: str) -> str:
        return task

    def task_type(self, task: str) -> str:
        return ""

    def max_steps(self, task: str) -> int:
        return self.steps

    def episode(self, task: str) -> PagesEpisode:
        return PagesEpisode(task, self.steps, self.page)

    def expert(self, task: str) -> Any:
        raise NotImplementedError("pages have no expert")

    def close(self) -> None:
        pass


class Acting:
    """A policy whose every answer is an action, whatever it says."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def begin(self, openings: Sequence[Opening]) -> None:
        self.policy.begin(openings)

    def submit(self, turns: Sequence[Turn]) -> None:
        self.policy.submit(turns)

    def collect(self) -> list[Reply]:
        return [
            Reply(reply.slot, "Action: " + reply.text, reply.tokens, reply.end)
            for reply in self.policy.collect()
        ]

    def finish(self, slots: Iterable[int]) -> None:
        self.policy.finish(slots)

    def close(self) -> None:
        self.policy.close()

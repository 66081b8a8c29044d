"""What a base model can do, measured on catalogues and households it has never seen.

Each ability is a share of right answers among freshly generated cases (another seed than training).
Answers are greedy and free text. Which abilities there are is a corpus' matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tratree_cli.pretraining.cases import AbilityCase
from tratree_cli.pretraining.corpus import Turns
from tratree_cli.pretraining.household_competence import rooms_cases
from tratree_cli.pretraining.shop_competence import shop_cases

SEED = 990_001
ANSWER_TOKENS = 64


def competence(
    model: Any, tokenizer: Any, text: str = "shop", cases: int = 200, seed: int = SEED
) -> dict[str, float]:
    """Share of right answers per ability of a corpus, in [0, 1]; ``cases`` of each kind."""
    result = {}
    for kind, cases_of_kind in _cases(text, cases, seed).items():
        answers = answer(model, tokenizer, [case.turns for case in cases_of_kind])
        result[kind] = sum(map(AbilityCase.judge, cases_of_kind, answers)) / cases
    return result


def _cases(text: str, count: int, seed: int) -> Mapping[str, Sequence[AbilityCase]]:
    return rooms_cases(count, seed) if text == "rooms" else shop_cases(count, seed)


def answer(
    model: Any, tokenizer: Any, conversations: Sequence[Turns], batch: int = 50
) -> list[str]:
    """Greedy answers to the last user turn of each conversation (its own answer is ignored)."""
    import torch

    answers: list[str] = []
    for start in range(0, len(conversations), batch):
        prompts = []
        for turns in conversations[start : start + batch]:
            messages = []
            for user, agent in turns:
                messages.append({"role": "user", "content": user})
                messages.append({"role": "assistant", "content": agent})
            prompts.append(
                tokenizer.apply_chat_template(
                    messages[:-1], add_generation_prompt=True, tokenize=False
                )
            )
        inputs = tokenizer(
            prompts,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        ).to(model.device)
        with torch.no_grad():
            output = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
            )
        new = output[:, inputs["input_ids"].shape[1] :]
        answers += tokenizer.batch_decode(new, skip_special_tokens=True)
    return answers

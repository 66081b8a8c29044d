"""Weak-to-strong first, then reinforcement learning: GRPO goes on where train-strong stopped.

    python examples/w2sg_then_grpo.py [--recipe quick] [--steps 40] [--store .tratree]

1. ``tratree train-strong --method mcts`` makes the W2SG model and what it needs, or finds it;
2. TRL's GRPOTrainer trains it further on the tasks of the training split, through
   ``tratree_cli.interop.trl_rollout``;
3. ``tratree eval`` scores the SFT strong model, the W2SG model and the one after GRPO on the same
   tasks of the development split, and ``tratree report`` puts the three side by side.

Everything runs on a CPU with the models that tratree brings; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from tratree_store import Store
from trl import GRPOConfig, GRPOTrainer

from tratree_cli.config import load_recipe
from tratree_cli.interop.trl_rollout import ReactRollouts, episode_reward
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.stages.environments import read_prompt

GROUP = 8
"""Episodes of one task, whose rewards are compared with each other."""


def tratree(*arguments: str) -> str:
    """Run a command of tratree; its one line on stdout (progress goes to the terminal)."""
    command = [sys.executable, "-m", "tratree_cli.app", *arguments, "--no-stdin"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.strip()


def grpo(start: Path, out: Path, recipe: str, steps: int, learning_rate: float) -> list[float]:
    """Train the model in ``start`` into ``out``; the mean score of every step's episodes."""
    config = load_recipe(recipe, "webshop")
    rollouts = ReactRollouts(
        "webshop",
        split="train",
        system=read_prompt(config),
        max_new_tokens=48,
        parameters=dict(config.env.parameters),
    )
    tokenizer, model = load_tokenizer(start), load_model(start)
    rows = rollouts.rows(config.explore.tasks)
    longest = max(len(tokenizer.apply_chat_template(row["prompt"])) for row in rows)
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=episode_reward,
        rollout_func=rollouts,
        train_dataset=Dataset.from_list(rows),
        args=GRPOConfig(
            output_dir=str(out / "checkpoints"),
            max_steps=steps,
            per_device_train_batch_size=4 * GROUP,
            num_generations=GROUP,
            max_completion_length=model.config.max_position_embeddings - longest,
            learning_rate=learning_rate,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            bf16=False,
            seed=0,
        ),
    )
    trainer.train()
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    history: list[dict[str, Any]] = trainer.state.log_history
    return [line["rewards/episode_reward/mean"] for line in history if "reward" in line]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--store", default=".tratree")
    parser.add_argument("--out", type=Path, default=Path("grpo-model"))
    chosen = parser.parse_args()
    common = ("--env", "webshop", "--recipe", chosen.recipe, "--store", chosen.store)

    sft = tratree("sft", "--role", "strong", *common)
    w2sg = tratree("train-strong", "--method", "mcts", *common)
    start = Store(Path(chosen.store)).resolve(w2sg).path
    scores = grpo(start, chosen.out, chosen.recipe, chosen.steps, chosen.learning_rate)
    last = scores[-min(5, len(scores)) :]
    sys.stderr.write(
        f"training episodes: mean score {scores[0]:.3f} at first, "
        f"{sum(last) / len(last):.3f} in the last {len(last)} steps\n"
    )

    split = ("--split", "dev", "--store", chosen.store)
    evaluations = [tratree("eval", model, *split) for model in (sft, w2sg)]
    evaluations.append(tratree("eval", "--policy", str(chosen.out), "--split", "dev", *common))
    sys.stdout.write(tratree("report", *evaluations, "--store", chosen.store) + "\n")


if __name__ == "__main__":
    main()

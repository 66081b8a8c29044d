"""Weak-to-strong first, then reinforcement learning: GRPO goes on where train-strong stopped.

    python examples/w2sg_then_grpo.py [--recipe quick] [--steps 40] [--store .tratree]

1. ``tratree train-strong --method mcts`` makes the W2SG model and what it needs, or finds it;
2. TRL's GRPOTrainer trains it further on tasks of the training split, through
   ``tratree_cli.interop.trl_rollout``, and the result goes into the store with its lineage;
3. ``tratree eval`` scores the SFT strong model, the W2SG model and the one after GRPO on the same
   tasks of the development split, and ``tratree report`` puts the three side by side.

Everything runs on a CPU with the models that tratree brings; a GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from datasets import Dataset
from tratree_store import Entry, Recipe, Store
from trl import GRPOConfig, GRPOTrainer

from tratree_cli.config import load_recipe
from tratree_cli.interop.trl_rollout import ReactRollouts, episode_reward
from tratree_cli.models.load import load_model, load_tokenizer
from tratree_cli.models.save import write_model
from tratree_cli.stages.environments import prompt_folder, read_prompt

GROUP, GROUPS = 8, 4
"""Episodes of one task, whose rewards are compared with each other, and tasks in a step."""


def tratree(*arguments: str) -> str:
    """Run a command of tratree; what it says on stdout (progress goes to the terminal)."""
    command = [sys.executable, "-m", "tratree_cli.app", *arguments, "--no-stdin"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout.strip()


def grpo(start: Entry, out: Path, settings: dict[str, Any]) -> list[float]:
    """Train the model ``start`` into ``out``; the mean score of every step's episodes."""
    config = load_recipe(settings["recipe"], "webshop")
    rollouts = ReactRollouts(
        "webshop",
        split="train",
        system=read_prompt(prompt_folder(config)),
        max_new_tokens=48,
        parameters=dict(config.env.parameters),
    )
    tokenizer, model = load_tokenizer(start.path), load_model(start.path)
    rows = rollouts.rows(config.explore.limit)
    longest = max(len(tokenizer.apply_chat_template(row["prompt"])["input_ids"]) for row in rows)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=episode_reward,
            rollout_func=rollouts,
            train_dataset=Dataset.from_list(rows),
            args=GRPOConfig(
                output_dir=scratch,
                max_steps=settings["steps"],
                per_device_train_batch_size=GROUPS * GROUP,
                num_generations=GROUP,
                max_completion_length=model.config.max_position_embeddings - longest,
                learning_rate=settings["learning_rate"],
                logging_steps=1,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                bf16=False,
                seed=settings["seed"],
            ),
        )
        trainer.train()
    write_model(model, start.path, out, "float32", {"method": "grpo", **settings})
    history: list[dict[str, Any]] = trainer.state.log_history
    return [line["rewards/episode_reward/mean"] for line in history if "reward" in line]


def trained(store: Store, start: Entry, settings: dict[str, Any]) -> Entry:
    """The model after GRPO as an artifact that knows what it was made from; made once."""
    recipe = Recipe(
        stage="grpo",
        version=1,
        kind="model",
        params=settings,
        inputs={"init": [start.object]},
        environment=load_environment(start),
    )
    with store.build(recipe) as build:
        if build.entry is not None:
            return build.entry
        began = time.monotonic()
        scores = grpo(start, build.path, settings)
        last = scores[-min(5, len(scores)) :]
        sys.stderr.write(
            f"training episodes: mean score {scores[0]:.3f} at first, "
            f"{sum(last) / len(last):.3f} in the last {len(last)} steps\n"
        )
        episodes = settings["steps"] * GROUPS * GROUP
        read = (
            f"GRPO read the rewards of {episodes} episodes that the column of episodes leaves out"
        )
        return build.publish(
            {"optimizer_steps": settings["steps"], "scores": scores},
            {
                "config": start.provenance["config"],
                "method": "W2SG MCTS, then GRPO",
                "inputs": {"init": [start.recipe]},
                "label": "W2SG MCTS, then GRPO",
                "command": sys.argv,
                "warnings": [read],
            },
            time.monotonic() - began,
        )


def load_environment(start: Entry) -> dict[str, Any] | None:
    """The environment that the recipe of ``start`` was keyed with."""
    known: dict[str, Any] | None = start.document.get("environment")
    return known


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=3e-5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", default=".tratree")
    chosen = parser.parse_args()
    common = ("--env", "webshop", "--recipe", chosen.recipe, "--store", chosen.store)

    sft = tratree("sft", "--role", "strong", *common)
    w2sg = tratree("train-strong", "--method", "mcts", *common)
    store = Store(Path(chosen.store))
    settings = {
        "recipe": chosen.recipe,
        "steps": chosen.steps,
        "learning_rate": chosen.learning_rate,
        "seed": chosen.seed,
    }
    after = trained(store, store.resolve(w2sg), settings)

    split = ("--split", "dev", "--store", chosen.store)
    evaluations = [tratree("eval", model, *split) for model in (sft, w2sg, after.ref)]
    sys.stdout.write(tratree("report", *evaluations, "--store", chosen.store) + "\n")


if __name__ == "__main__":
    main()

"""verl makes the interaction from its own configuration file and plays episodes with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError

pytest.importorskip(
    "verl.interactions.base", reason="needs: pip install --no-deps 'verl<0.8' and what it imports"
)


def interaction(tmp_path: Path) -> Any:
    from verl.interactions.utils.interaction_registry import initialize_interactions_from_config

    path = tmp_path / "interaction.yaml"
    path.write_text(
        "interaction:\n"
        "  - name: shop\n"
        "    class_name: tratree_cli.interop.verl_interaction.TratreeInteraction\n"
        "    config: {environment: webshop, split: dev}\n"
    )
    return initialize_interactions_from_config(str(path))["shop"]


def test_episodes_of_an_interaction_are_the_engines(tmp_path: Path) -> None:
    shop, engine = interaction(tmp_path), open_environment("webshop")

    async def play(task: str) -> None:
        name = await shop.start_interaction(task=task)
        episode, expert = engine.episode(task), engine.expert(task)
        text, total, over, turns = episode.reset(), 0.0, False, 0
        messages = [{"role": "user", "content": text}]
        while not over:
            thought, action = expert.act(text)
            messages.append({"role": "assistant", "content": f"{thought}\nAction: {action}"})
            over, answer, reward, told = await shop.generate_response(name, messages)
            outcome = episode.step(action)
            text, total, turns = outcome.observation, total + reward, turns + 1
            assert (answer, told["score"]) == (outcome.observation, outcome.score)
            messages.append({"role": "user", "content": answer})
        assert outcome.done and total == pytest.approx(outcome.score)
        assert await shop.calculate_score(name) == outcome.score
        await shop.finalize_interaction(name)
        with pytest.raises(InputError, match="there is no interaction"):
            await shop.generate_response(name, messages)

    async def play_all() -> None:
        await asyncio.gather(*(play(task) for task in engine.splits()["dev"][:8]))

    asyncio.run(play_all())
    with pytest.raises(InputError, match="need a task"):
        asyncio.run(shop.start_interaction())

"""TRL's GRPOTrainer takes real steps on the environments, with tools and with ReAct agents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tratree_cli.config import load_recipe
from tratree_cli.envs.agent_episode import EpisodeError
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError
from tratree_cli.interop.trl_rollout import ReactRollouts, episode_reward
from tratree_cli.interop.trl_tools import ActionTools, environment_factory, tool_rows

TOOLS = """
{%- if tools -%}␂user{% for tool in tools %}{{ tool.function.name }} {% endfor %}{%- endif -%}
{%- for message in messages -%}
{%- if message['role'] == 'assistant' -%}
␂agent{{ message['content'] }}
{%- for call in message.tool_calls or [] -%}
<tool_call>{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
{#--#}</tool_call>
{%- endfor -%}
␃
{%- else -%}
␂user{{ message['content'] }}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}␂agent{%- endif -%}
"""
RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "␂agent",
    "fields": {
        "tool_calls": {
            "open": "<tool_call>",
            "close_pattern": r"</tool_call>\s*",
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"close_pattern": r"␃\s*", "content": "text"},
    },
}
"""The template of the embedded models, with tools as most models write them."""


def test_each_environment_has_its_verbs_as_documented_tools() -> None:
    from transformers.utils import get_json_schema

    for name, some in {
        "webshop": {"search", "click"},
        "alfworld": {"go_to", "take", "put", "heat"},
    }.items():
        made = environment_factory(name)
        tools = {tool for tool in dir(made) if not tool.startswith("_")} - {"reset", "get_reward"}
        assert some <= tools
        for tool in tools:
            get_json_schema(getattr(made, tool))


def test_a_row_names_the_task_and_the_score_is_the_reward() -> None:
    shopper = environment_factory("webshop")()
    engine = open_environment("webshop")
    task = engine.splits()["dev"][3]
    assert shopper.reset(task=task, prompt=[], other=1) == engine.episode(task).reset()
    assert shopper.get_reward() == 0.0
    first = shopper.search("shirt")  # type: ignore[attr-defined]
    assert first == engine_after(engine, task, "search[shirt]")
    asin = first.split(" [SEP] ")[5]
    shopper.click(asin)  # type: ignore[attr-defined]
    shopper.click("Buy Now")  # type: ignore[attr-defined]
    assert 0 <= shopper.get_reward() <= 1
    with pytest.raises(EpisodeError, match="the episode is over"):
        shopper.search("again")  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="needs a column task"):
        shopper.reset(prompt=[])
    with pytest.raises(EpisodeError, match="has not begun"):
        environment_factory("webshop")().search("x")  # type: ignore[attr-defined]


def engine_after(engine: Any, task: str, action: str) -> str:
    episode = engine.episode(task)
    episode.reset()
    return str(episode.step(action).observation)


def test_a_household_is_won_with_tools_in_both_grammars() -> None:
    for grammar in ("put", "move"):
        parameters = {"grammar": grammar, "rooms": "tiny"}
        made = environment_factory("alfworld", parameters=parameters)
        engine = open_environment("alfworld", parameters=parameters)
        for task in engine.splits()["train"][:12]:
            player, expert = made(), engine.expert(task)
            text = player.reset(task=task)
            for _ in range(40):
                text = call(player, expert.act(text)[1])
                if player.get_reward() == 1.0:
                    break
            assert player.get_reward() == 1.0, task


def call(player: Any, action: str) -> str:
    """The tool that an action in words is."""
    verb, _, rest = action.partition(" ")
    if action.startswith("go to "):
        return str(player.go_to(action.removeprefix("go to ")))
    for word, name in ((" from ", "take"), (" in/on ", "put"), (" to ", "move"), (" with ", "")):
        if word in rest and name in ("", verb):
            thing, _, place = rest.partition(word)
            return str(getattr(player, "put" if verb == "move" else verb)(thing, place))
    return str(getattr(player, verb)(rest) if rest else getattr(player, verb)())


def test_an_environment_without_listed_verbs_has_one_tool() -> None:
    made = environment_factory("python:tests.agents.toy")
    assert issubclass(made, ActionTools)
    player = made()
    assert "lamp" in player.reset(index=0)
    player.act("go kitchen")  # type: ignore[attr-defined]
    player.act("light")  # type: ignore[attr-defined]
    assert player.get_reward() == 1.0


def small_model() -> tuple[Any, Any]:
    """An embedded model and its tokenizer."""
    from tratree_cli.models.load import load_model, load_tokenizer, resolve_base

    folder = resolve_base("tratree-s").folder
    return load_model(folder), load_tokenizer(folder)


def settings(folder: Path, **more: Any) -> Any:
    from trl import GRPOConfig

    return GRPOConfig(
        output_dir=str(folder),
        use_cpu=True,
        bf16=False,
        per_device_train_batch_size=4,
        num_generations=4,
        max_steps=2,
        learning_rate=1e-4,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        gradient_checkpointing=False,
        **more,
    )


def brevity(completion_ids: list[list[int]], **_: Any) -> list[float]:
    """A second reward, which differs between rollouts whatever the small model does."""
    return [-len(ids) / 100 for ids in completion_ids]


def weights(model: Any) -> Any:
    import torch

    return torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])


@pytest.mark.slow
def test_trl_takes_two_steps_with_tools(tmp_path: Path) -> None:
    import torch
    from datasets import Dataset
    from trl import GRPOTrainer

    model, tokenizer = small_model()
    tokenizer.chat_template, tokenizer.response_template = TOOLS, RESPONSE
    options = {"parameters": {"page_size": 2}}
    rows = tool_rows("webshop", "train", 4, **options)
    teach(model, tokenizer, rows, environment_factory("webshop", **options))
    torch.manual_seed(0)
    before = weights(model)
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=brevity,
        train_dataset=Dataset.from_list(rows),
        environment_factory=environment_factory("webshop", **options),
        args=settings(tmp_path, max_completion_length=600, max_tool_calling_iterations=3),
    )
    trainer.train()
    steps = [line for line in trainer.state.log_history if "reward" in line]
    assert len(steps) == 2
    assert all("rewards/WebShopTools/mean" in line for line in steps)
    assert max(line["tools/call_frequency"] for line in steps) > 0
    assert min(line["tools/failure_frequency"] for line in steps) < 1
    after = weights(model)
    assert after.isfinite().all() and not after.equal(before)


def teach(model: Any, tokenizer: Any, rows: list[dict[str, Any]], made: Any) -> None:
    """Teach the model to answer a first page with a search, in a few seconds."""
    import torch

    arguments = {"keywords": "wooden lamp"}
    call = {"type": "function", "function": {"name": "search", "arguments": arguments}}
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    texts = []
    for row in rows:
        player = made()
        first = {"role": "user", "content": player.reset(**row)}
        said = {"role": "assistant", "content": "", "tool_calls": [call]}
        page = {"role": "tool", "name": "search", "content": player.search(**arguments)}
        last = {"role": "assistant", "content": "I have seen enough."}
        tools = [player.click, player.search]  # in the order in which TRL lists them
        texts.append(
            tokenizer.apply_chat_template([first, said, page, last], tools=tools, tokenize=False)
        )
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
    # Only the agent's words: from its mark to the end of its turn.
    begin, end = tokenizer.convert_tokens_to_ids(["␂agent", "␃"])
    own = ((batch["input_ids"] == begin).cumsum(1) > ((batch["input_ids"] == end).cumsum(1))).roll(
        1, 1
    )
    labels = batch["input_ids"].masked_fill(~own | (batch["attention_mask"] == 0), -100)
    model.train()
    for _ in range(150):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@pytest.mark.slow
def test_trl_takes_two_steps_with_agents_that_write_their_actions(tmp_path: Path) -> None:
    from datasets import Dataset
    from trl import GRPOTrainer

    from tratree_cli.stages.environments import prompt_folder, read_prompt

    config = load_recipe("quick", "webshop")
    model, tokenizer = small_model()
    rollouts = ReactRollouts(
        "webshop",
        split="train",
        system=read_prompt(prompt_folder(config)),
        max_new_tokens=40,
        parameters=dict(config.env.parameters),
    )
    before = weights(model)
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=[episode_reward, brevity],
        rollout_func=rollouts,
        train_dataset=Dataset.from_list(rollouts.rows(8)),
        args=settings(tmp_path, max_completion_length=700),
    )
    checked = check_tokens(rollouts, trainer)
    assert checked > 0
    trainer.train()
    steps = [line for line in trainer.state.log_history if "reward" in line]
    assert len(steps) == 2 and all(0 <= line["rewards/episode_reward/mean"] <= 1 for line in steps)
    assert all(line["completions/mean_length"] > 0 for line in steps)
    after = weights(model)
    assert after.isfinite().all() and not after.equal(before)


def check_tokens(rollouts: ReactRollouts, trainer: Any) -> int:
    """The masked tokens are the environment's words, the log-probabilities the model's own."""
    import torch

    prompts = [row["prompt"] for row in rollouts.rows(3)]
    made = rollouts(prompts, trainer)
    counted = 0
    for ids, completion, mask, logprobs, reward in zip(
        *(made[name] for name in ("prompt_ids", "completion_ids", "env_mask", "logprobs")),
        made["env_reward"],
        strict=True,
    ):
        assert len(completion) == len(mask) == len(logprobs) and 0 <= reward <= 1
        whole = torch.tensor([ids + completion])
        with torch.no_grad():
            logits = trainer.model.eval()(whole).logits[0].float()
        own = (logits / trainer.temperature).log_softmax(-1)
        for place, (token, sampled, logprob) in enumerate(
            zip(completion, mask, logprobs, strict=True)
        ):
            if sampled:
                expected = own[len(ids) + place - 1, token].item()
                assert logprob == pytest.approx(expected, abs=1e-3)
                counted += 1
            else:
                assert logprob == 0.0
        heard = [token for token, sampled in zip(completion, mask, strict=True) if not sampled]
        if heard:
            assert "Instruction" in trainer.processing_class.decode(heard)
    return counted


def test_prompts_of_other_rows_are_refused() -> None:
    rollouts = ReactRollouts("webshop", split="dev")
    rows = rollouts.rows(5)
    assert [row["task"] for row in rows] == list(open_environment("webshop").splits()["dev"][:5])
    with pytest.raises(InputError, match="not of the rows"):
        rollouts._episode([{"role": "user", "content": "x"}])

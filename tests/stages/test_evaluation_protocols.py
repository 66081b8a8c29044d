"""A protocol sets all that published figures depend on, is keyed, and refuses in a sentence."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.agents.policy import Opening, Reply, Turn
from tratree_cli.agents.rollout import EpisodeRequest, play
from tratree_cli.agents.turn_form import TurnByTurn, TurnForm, acted
from tratree_cli.config import Config, load_recipe
from tratree_cli.envs.registry import open_environment
from tratree_cli.errors import InputError
from tratree_cli.interop.verl_agent import build_webshop_envs
from tratree_cli.pipeline.parameters import key_document
from tratree_cli.stages import evaluate
from tratree_cli.stages.environments import prompt_folder, read_prompt, read_turn_form
from tratree_cli.stages.evaluation_protocol import (
    load_protocol,
    numbered,
    protocols,
    refuse_contradictions,
    under_protocol,
)

SEARCHES = 3


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of 1,000 invented products with an instruction each."""
    folder = tmp_path_factory.mktemp("webshop")
    products, attributes = [], {}
    for number in range(1000):
        asin = f"B{number:09d}"
        kind, colour = ("lamp", "mug", "chair")[number % 3], ("red", "blue")[number % 2]
        products.append(
            {
                "asin": asin,
                "name": f"{colour} {kind} number {number}",
                "full_description": f"a {kind}",
                "small_description": [f"{colour} and sturdy"],
                "pricing": "$12.50",
                "images": ["none"],
                "product_category": f"home › {kind}",
                "query": kind,
                "category": "garden",
                "customization_options": {"size": [{"value": "small"}, {"value": "large"}]},
            }
        )
        attributes[asin] = {
            "attributes": ["sturdy"],
            "instruction": f"find me a sturdy {kind} number {number}",
            "instruction_attributes": ["sturdy"],
        }
    (folder / "items_shuffle_1000.json").write_text(json.dumps(products))
    (folder / "items_ins_v2_1000.json").write_text(json.dumps(attributes))
    return folder


def asked(protocol: str = "", data: str | Path = "embedded", **sections: Any) -> Config:
    values = {"env": {"data": str(data)}, "eval": {"protocol": protocol}, **sections}
    return load_recipe("quick", "webshop").with_values(values, "the test")


@pytest.mark.parametrize("name", protocols())
def test_every_shipped_protocol_loads_with_prompts_that_are_there(name: str) -> None:
    protocol = load_protocol(name)
    assert protocol.version >= 1 and protocol.settings
    for environment, setting in protocol.settings.items():
        config = load_recipe("quick", environment).with_values(setting.values(), name)
        assert (prompt_folder(config) / "prompt.toml").is_file()
        assert setting.needs and "tratree env fetch" in setting.fetch


def test_without_a_protocol_nothing_of_it_is_in_the_key() -> None:
    params = evaluate.node(asked(), policy="random").params
    assert set(key_document(params)) == {
        "split", "tasks", "samples", "temperature", "top_p", "best_of", "engine", "policies",
    }  # fmt: skip
    plain = asked()
    assert under_protocol(plain) is plain


def test_a_protocol_is_keyed_with_its_version(thousand: Path) -> None:
    node = evaluate.node(asked("verl-agent", thousand), policy="random")
    document = key_document(node.params)
    assert (document["protocol"], document["numbers"]) == ("verl-agent 1", "0-499")
    assert document["success"] == "full-score"
    assert document["temperature"] == 0.4 and document["engine"]["max_new_tokens"] == 512
    assert node.environment is not None
    assert node.environment["parameters"]["max_steps"] == 15
    assert node.environment["parameters"]["goals"] == "synthetic"
    assert node.config.to_dict()["env"]["prompt"] == "quick"


def test_verl_agents_goals_pages_and_rewards_are_those_of_its_drop_in(thousand: Path) -> None:
    setting = load_protocol("verl-agent").setting("webshop")
    environment = open_environment("webshop", str(thousand), setting.parameters)
    form = turn_form(thousand)
    files = {"file_path": str(thousand / "items_shuffle_1000.json")}
    envs = build_webshop_envs(seed=0, env_num=500, is_train=False, env_kwargs=files)
    assert list(map(str, envs.goal_idxs)) == list(numbered(setting.tasks))
    texts, infos = envs.reset()
    goals = {text.split(" [SEP] ")[2]: place for place, text in enumerate(texts)}
    assert len(goals) > 1
    for task in numbered(setting.tasks)[:: 500 // SEARCHES]:
        assert environment.max_steps(task) == 15
        instruction = environment.instruction(task)
        place = goals[instruction]
        episode = environment.episode(task)
        shown = episode.reset()
        actions = [f"search[{instruction}]", "click[next >]", "click[< prev]"]
        other = [""] * len(texts)
        for action in actions:
            assert form.page(instruction, shown) == managers_page(texts[place])
            assert form.admissible(episode.available_actions()) == managers_actions(infos[place])
            other[place] = action
            texts, _, _, infos = envs.step(other)
            shown = episode.step(action).observation
        assert form.page(instruction, shown) == managers_page(texts[place])


def managers_page(text: str) -> str:
    """An observation as verl-agent's manager writes it: the parts after the task, in quotes."""
    parts = text.split(" [SEP] ")
    after = parts[parts.index("Instruction:") + 2 :]
    return " [SEP] ".join(f"'{part}'" for part in after)


def managers_actions(info: dict[str, Any]) -> str:
    """The admissible actions as its manager writes them."""
    available = info["available_actions"]
    actions = ["search[<your query>]"] if available["has_search_bar"] else []
    actions += [f"click[{name}]" for name in available["clickables"]]
    return "\n".join(f"'{action}'," for action in actions)


def turn_form(data: Path) -> TurnForm:
    form = read_turn_form(prompt_folder(under_protocol(asked("verl-agent", data))))
    assert form is not None
    return form


class Clerk:
    """A model that answers in tags; it keeps the messages of each of its conversations."""

    def __init__(self) -> None:
        self.conversations: list[list[str]] = []
        self.seeds: list[int] = []
        self._waiting: list[int] = []

    def begin(self, openings: Sequence[Opening]) -> None:
        for opening in openings:
            self.conversations.append([])
            self.seeds.append(opening.seed)

    def submit(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self.conversations[-1].append(turn.observation)
            self._waiting.append(turn.slot)

    def collect(self) -> list[Reply]:
        slots, self._waiting = self._waiting, []
        answer = "<think>no idea</think><action>search[LAMP]</action>"
        return [Reply(slot, answer) for slot in slots]

    def finish(self, slots: Any) -> None:
        pass

    def close(self) -> None:
        pass


def test_every_step_is_a_message_of_its_own_with_two_steps_of_history(thousand: Path) -> None:
    setting = load_protocol("verl-agent").setting("webshop")
    environment = open_environment("webshop", str(thousand), setting.parameters)
    clerk = Clerk()
    (played,), texts = play(
        environment, TurnByTurn(clerk, turn_form(thousand)), [EpisodeRequest("0", seed=5)]
    )
    assert played.end == "step-limit" and played.steps == 15
    assert [len(messages) for messages in clerk.conversations] == [1] * 15
    assert len(set(clerk.seeds)) == 15
    (first,), (second,), *_, (last,) = clerk.conversations
    assert "'search[<your query>]',\n'click[search]'," in first and "Observation 1" not in first
    assert "[Observation 1: ''Search'', Action 1: 'search[lamp]']" in second
    assert "[Observation 13:" in last and "[Observation 14:" in last
    assert "[Observation 12:" not in last and "This is step 15" in last
    assert texts[played.actions[0]] == "search[lamp]"


def test_an_answer_in_tags_is_recorded_with_its_reasoning_and_acts_in_lower_case() -> None:
    said, action = acted("<think>Action: one</think> <action> click[Buy Now] </action>")
    assert action == "click[buy now]"
    assert said.partition("Action: ")[2] == action and "<think>" in said
    assert (
        acted("I would rather look around for a good while")[1] == "r look around for a good while"
    )


def test_a_protocol_whose_data_are_not_here_says_what_to_fetch(thousand: Path) -> None:
    with pytest.raises(InputError, match=r"1,000 product records.*660.*fetch webshop --size small"):
        evaluate.node(asked("verl-agent"), policy="random")
    for name in ("eto", "paper"):
        with pytest.raises(InputError, match=r"12,087 human goals.*tratree env fetch webshop"):
            evaluate.node(asked(name), policy="random")
    with pytest.raises(InputError, match="no such thing"):
        evaluate.node(asked("eto", thousand), policy="random")


def test_what_contradicts_a_protocol_is_refused() -> None:
    config = asked("verl-agent")
    flag = ("--protocol", {"eval": {"protocol": "verl-agent"}})
    refuse_contradictions(config, [flag, ("--temperature", {"eval": {"temperature": 0.4}})])
    with pytest.raises(InputError, match=r"--temperature: .*eval.temperature to 0.4, not 0.0"):
        refuse_contradictions(config, [flag, ("--temperature", {"eval": {"temperature": 0.0}})])
    prompt = ("--prompt", {"env": {"prompt": "eto"}})
    with pytest.raises(InputError, match=r"env\.prompt"):
        refuse_contradictions(config, [flag, prompt])
    refuse_contradictions(config, [prompt])  # tratree.toml names the protocol: a training's prompt
    with pytest.raises(InputError, match="no best of N"):
        evaluate.node(asked("verl-agent"), policy="random", best_of=2)


def test_names_that_are_no_protocol_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'paper'"):
        load_protocol("pper")
    with pytest.raises(InputError, match="no setting for alfworld"):
        load_protocol("verl-agent").setting("alfworld")
    own = tmp_path / "own.toml"
    own.write_text("version = 0")
    with pytest.raises(InputError, match="needs a version"):
        load_protocol(str(own))
    (tmp_path / "paper.toml").write_text("version = 1")
    with pytest.raises(InputError, match="name of a shipped protocol"):
        load_protocol(str(tmp_path / "paper.toml"))
    (tmp_path / "prompt.toml").write_text("[turn]\nfirst = '{no}'\nlater = ''")
    with pytest.raises(InputError, match="field that is not there"):
        read_turn_form(tmp_path)
    with pytest.raises(InputError, match="0-499"):
        numbered("9-3")


def test_a_prompt_of_single_turns_is_for_evaluations_alone(thousand: Path) -> None:
    folder = prompt_folder(under_protocol(asked("verl-agent", thousand)))
    assert read_prompt(folder, turns=True) == []
    with pytest.raises(InputError, match="evaluations alone"):
        read_prompt(folder)

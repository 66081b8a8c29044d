"""Models that are played by an engine that tratree starts, as policies and on the command line."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agents.fake_vllm import VERSION
from tests.agents.started_engine import Engine
from tests.command_line import run_tratree
from tratree_cli.agents.engine_policy import open_sglang, open_vllm
from tratree_cli.agents.policy import Opening, PolicyOutageError, Turn
from tratree_cli.errors import StageError
from tratree_cli.formats.rollouts import read_rollouts


def adapter(folder: Path, base: Path, rank: int = 8) -> Path:
    """An adapter's folder without weights, which the program does not read."""
    folder.mkdir()
    for file in [*base.glob("token*"), *base.glob("*.jinja")]:
        (folder / file.name).write_bytes(file.read_bytes())
    config = {"r": rank, "base_model_name_or_path": str(base)}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_sampled_ids_go_into_the_next_request_as_they_were_sampled(
    engine: Engine, chatml_model: Path
) -> None:
    policy = open_vllm(str(chatml_model), {"max_new_tokens": 7, "max_context": 512}, 2)
    try:
        policy.begin([Opening(0, seed=5, setting={"temperature": 0.5})])
        for observation in ("You are in the hall.", "Nothing happens."):
            policy.submit([Turn(0, observation)])
            (reply,) = policy.collect()
            assert reply.tokens == (1, 2, 3)[: len(reply.tokens)]
        one, two = [r for r in engine.noted("requests") if r["path"] == "/v1/completions"]
        assert two["prompt"][: len(one["prompt"]) + len(reply.tokens)] == [
            *one["prompt"],
            *reply.tokens,
        ]
        assert (one["max_tokens"], one["temperature"], one["return_token_ids"]) == (7, 0.5, True)
        assert one["seed"] != two["seed"]
        policy.submit([Turn(0, "lamp " * 600)])
        assert policy.collect()[0].end == "context-overflow"
    finally:
        policy.close()
    assert not engine.alive()


def test_ids_are_encoded_with_the_arguments_of_the_models_template(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(chatml_model, tmp_path / "reads"))
    (template,) = folder.glob("*.jinja")
    template.write_text(
        "{%- if tone is defined -%}{{ tone }}{%- endif -%}\n" + template.read_text()
    )
    prompts = []
    for options in ({}, {"chat_template_kwargs": {"tone": "lamp"}}):
        policy = open_vllm(str(folder), {"max_context": 512, **options}, 1)
        try:
            policy.begin([Opening(0, seed=5)])
            policy.submit([Turn(0, "You are in the hall.")])
            policy.collect()
            prompts.append(engine.noted("requests")[-1]["prompt"])
        finally:
            policy.close()
    plain, toned = prompts
    assert toned[-len(plain) :] == plain
    assert len(toned) > len(plain)


def test_arguments_go_with_messages_where_the_server_renders_the_template(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(chatml_model, tmp_path / "loud"))
    (template,) = folder.glob("*.jinja")
    text = template.read_text().replace("m['content']", "m['content'] | replace('mugs', tone)")
    template.write_text(text)
    policy = open_vllm(str(folder), {"chat_template_kwargs": {"tone": "lamp"}}, 1)
    try:
        policy.begin([Opening(0, seed=5)])
        policy.submit([Turn(0, "You are in the hall.")])
        policy.collect()
    finally:
        policy.close()
    (asked,) = [r for r in engine.noted("requests") if r["path"] == "/v1/chat/completions"]
    assert asked["chat_template_kwargs"] == {"tone": "lamp"}


def test_adapters_of_one_base_share_a_server(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folders = [adapter(tmp_path / f"a{rank}", chatml_model, rank) for rank in (8, 16)]
    policies = [open_vllm(str(folder), {}, 1) for folder in folders]
    for policy in policies:
        policy.begin([Opening(0, seed=1)])
        policy.submit([Turn(0, "You are in the hall.")])
        policy.collect()
    requests = engine.noted("requests")
    loaded = [r["lora_path"] for r in requests if r["path"] == "/v1/load_lora_adapter"]
    assert loaded == [str(folder) for folder in folders]
    names = [r["lora_name"] for r in requests if "lora_name" in r]
    assert [r["model"] for r in requests if "model" in r] == names
    assert len(engine.noted("processes")) == 1
    (words,) = engine.noted("arguments")
    assert words[1] == str(chatml_model)
    assert words[words.index("--max-lora-rank") + 1] == "64"
    for policy in policies:
        policy.close()
    assert not engine.alive()


def test_sglang_is_sent_ids_and_its_key_in_a_file(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    folder = adapter(tmp_path / "adapter", chatml_model)
    policy = open_sglang(str(folder), {"max_new_tokens": 7}, 1)
    policy.begin([Opening(0, seed=5, setting={"temperature": 0.5})])
    policy.submit([Turn(0, "You are in the hall.")])
    assert policy.collect()[0].tokens
    policy.close()
    loaded, asked = engine.noted("requests")
    assert asked["lora_path"] == loaded["lora_name"]
    assert asked["input_ids"]
    assert asked["sampling_params"]["max_new_tokens"] == 7
    assert engine.noted("key-file") == [0o600]
    (words,) = engine.noted("arguments")
    assert not Path(words[words.index("--config") + 1]).exists()
    assert not engine.alive()


def test_an_adapter_that_is_refused_ends_the_server(
    engine: Engine, chatml_model: Path, tmp_path: Path
) -> None:
    engine.behave("refuse")
    folder = adapter(tmp_path / "adapter", chatml_model)
    with pytest.raises(StageError, match=r"refuses the adapter .*rank 64 is greater than 16"):
        open_vllm(str(folder), {}, 1)
    assert not engine.alive()


def test_a_server_that_dies_while_it_plays_is_an_outage_with_its_last_lines(
    engine: Engine, chatml_model: Path
) -> None:
    engine.behave("die-later")
    policy = open_vllm(str(chatml_model), {}, 1)
    policy.begin([Opening(0, seed=1)])
    with pytest.raises(PolicyOutageError, match=r"(?s)exited with 3.*fell off the bus"):
        for _ in range(2):
            policy.submit([Turn(0, "You are in the hall.")])
            policy.collect()
    policy.close()
    assert not engine.alive()


# The command line

SHORT = ("--limit", "1", "-m", "1", "--no-stdin", "--set", "explore.max_new_tokens=16", "--json")


@pytest.mark.slow
def test_exploration_by_an_engine_says_so_and_is_another_artifact(
    engine: Engine, tmp_path: Path
) -> None:
    words = ("explore", "--policy", "tratree-s", *SHORT)
    done = run_tratree(tmp_path, *words, "--engine", "vllm")
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert not engine.alive()
    assert made["summary"]["external"] is True
    assert made["summary"]["engine"] == {"name": "vllm", "version": VERSION}
    rollouts = read_rollouts(tmp_path / made["path"])
    assert rollouts.sources[0].startswith("base:sha256:")
    again = run_tratree(tmp_path, *words, "--engine", "vllm")
    assert json.loads(again.stdout)["ref"] == made["ref"]
    assert len(engine.noted("processes")) == 1
    planned = run_tratree(tmp_path, *words, "--dry-run")
    assert "would run" in planned.stdout
    checked = run_tratree(tmp_path, "store", "verify", made["ref"], "--recompute")
    assert "outside the store" in checked.stderr


@pytest.mark.slow
def test_a_served_model_is_shared_with_commands_until_it_is_interrupted(
    engine: Engine, tmp_path: Path
) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tratree_cli.app", "serve", "tratree-s", "--json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    told = json.loads(server.stdout.readline())
    assert told["url"].startswith("http://127.0.0.1:")
    assert (told["engine"], told["version"]) == ("vllm", VERSION)
    evaluated = run_tratree(
        tmp_path, "eval", "--policy", "tratree-s", "--engine", "vllm", "--limit", "1", "--no-stdin"
    )
    assert evaluated.returncode == 0, evaluated.stderr
    assert len(engine.noted("processes")) == 1
    assert engine.alive()
    server.send_signal(signal.SIGINT)
    assert server.wait() == 130
    assert not engine.alive()
    assert "Traceback" not in server.communicate()[1]


def test_an_engine_that_is_not_installed_is_one_sentence_with_what_to_type(
    engine: Engine, tmp_path: Path
) -> None:
    nowhere = {"TRATREE_VLLM": "no-such-vllm"}
    for words in (("eval", "--policy", "tratree-s", "--engine", "vllm", "--no-stdin"),
                  ("report", "--engine", "vllm", "--no-stdin"),
                  ("serve", "tratree-s")):  # fmt: skip
        done = run_tratree(tmp_path, *words, environment=nowhere)
        assert done.returncode == 2, done.stderr
        assert "pip install vllm" in done.stderr
        assert 'TRATREE_VLLM="uvx' in done.stderr
        assert "Traceback" not in done.stderr

"""A model folder from elsewhere runs no code, is not unpickled, and is refused in a sentence."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.agents.local.model import load_model as load_for_engine
from tratree_cli.errors import InputError
from tratree_cli.models import folder_checks
from tratree_cli.models.load import adapter_base, load_model, load_tokenizer, resolve_base
from tratree_cli.resources import templates_dir

CODE = "import pathlib\npathlib.Path({mark!r}).write_text('ran')\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a shipped model that may be made hostile."""
    return Path(shutil.copytree(templates_dir() / "models" / "tratree-s", tmp_path / "model"))


@pytest.fixture(autouse=True)
def _no_code_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(folder_checks.TRUST_VARIABLE, raising=False)


def change(path: Path, **values: Any) -> None:
    content = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**content, **values}), "utf-8")


def refused(folder: Path, *words: str) -> None:
    for load in (load_model, load_for_engine):
        with pytest.raises(InputError) as caught:
            load(folder)
        message = str(caught.value)
        assert "\n" not in message
        assert len(message) < 600
        for word in words:
            assert word in message


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_a_folder_with_code_of_its_own_is_refused_and_asks_nothing(
    folder: Path, tmp_path: Path, file: str, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    mark = tmp_path / "ran"
    (folder / "own.py").write_text(CODE.format(mark=str(mark)))
    own = {"AutoConfig": "own.Own", "AutoModelForCausalLM": "own.Own", "AutoTokenizer": "own.Own"}
    change(folder / file, auto_map=own, model_type="own")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    refused(folder, "auto_map", "--trust-remote-code")
    with pytest.raises(InputError, match="auto_map"):
        load_tokenizer(folder)
    with pytest.raises(InputError, match="auto_map"):
        resolve_base(str(folder))
    assert not mark.exists()
    assert capfd.readouterr().out == ""


def test_code_runs_only_with_the_option(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folder_checks.TRUST_VARIABLE, "1")
    mark = tmp_path / "ran"
    (folder / "own_code.py").write_text(
        CODE.format(mark=str(mark))
        + "from transformers import LlamaConfig\nclass Own(LlamaConfig):\n    model_type = 'own'\n"
    )
    change(folder / "config.json", auto_map={"AutoConfig": "own_code.Own"}, model_type="own")
    before = resolve_base(str(folder)).identity
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(folder)  # no class of a model belongs to that configuration
    assert mark.exists()
    (folder / "own_code.py").write_text("# other code")
    assert resolve_base(str(folder)).identity != before


def test_code_of_another_repository_never_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(folder_checks.TRUST_VARIABLE, "1")
    change(folder / "config.json", auto_map={"AutoConfig": "some/place--own.Own"})
    refused(folder, "another repository")


def test_an_attention_kernel_of_the_hub_is_refused(folder: Path) -> None:
    change(folder / "config.json", attn_implementation="some/kernel")
    refused(folder, "kernel 'some/kernel'")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_pickled_weights_are_never_read(folder: Path, tmp_path: Path, name: str) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps({"model.norm.weight": 1}))
    refused(folder, name, "pickle", "safetensors")


def test_pickles_beside_safetensors_are_left_alone(folder: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(b"no pickle")
    load_model(folder)


@pytest.mark.parametrize(
    "damage",
    [
        {"config.json": b"{" + b'"a":{' * 100_000},
        {"config.json": b"[]"},
        {"config.json": b'{"model_type": "llama", "vocab_size": ' + b"9" * 5000 + b"}"},
        {"config.json": b"\xff\xfe{}"},
        {"config.json": b'{"model_type": ["llama"]}'},
        {"config.json": b'{"model_type": "llama", "rope_parameters": 3, "head_dim": "x"}'},
        {"config.json": b'{"model_type": "llama", "quantization_config": {"quant_method": "x"}}'},
        {"model.safetensors": b"\xff" * 64},
        {"model.safetensors": (1 << 40).to_bytes(8, "little") + b"{}"},
        {"generation_config.json": b'{"eos_token_id": "x", "temperature": []}'},
        {"generation_config.json": b"\xff"},
    ],
)
def test_damaged_files_are_a_sentence(folder: Path, damage: dict[str, bytes]) -> None:
    for name, content in damage.items():
        (folder / name).write_bytes(content)
    try:
        load_model(folder)
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff", b"[]", b"{}", b'{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": ["a b"]}}',
        b'{"version": "1.0", "model": 3}',
        b'{"version":"1.0","added_tokens":[{"id":99999999999,"content":"x","special":true}]}',
    ],
)  # fmt: skip
def test_damaged_tokenizers_are_a_sentence(folder: Path, content: bytes) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_tokenizer(folder)
    assert "\n" not in str(caught.value)


def test_a_huge_configuration_is_refused_before_it_is_parsed(folder: Path) -> None:
    with (folder / "config.json").open("ab") as file:
        file.truncate(folder_checks.CONFIG_BYTES + 1)
    refused(folder, "larger than 16 MiB")


@pytest.mark.parametrize(
    "sizes",
    [
        {"num_hidden_layers": 10**9},
        {"vocab_size": 10**9},
        {"intermediate_size": 10**9},
    ],
)
def test_sizes_that_the_weights_cannot_fill_are_refused(
    folder: Path, sizes: dict[str, int]
) -> None:
    change(folder / "config.json", **sizes)
    refused(folder, "far larger than its weights")


class TestAdapters:
    """Adapter folders are held to the same rules, and so is what they say about their base."""

    def adapter(self, tmp_path: Path, **config: Any) -> Path:
        folder = tmp_path / "adapter"
        folder.mkdir()
        change(
            folder / "adapter_config.json",
            **{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], **config},
        )
        shutil.copyfile(
            templates_dir() / "models" / "tratree-s" / "model.safetensors",
            folder / "adapter_model.safetensors",
        )
        return folder

    @pytest.mark.parametrize("digest", ["../../x", "a" * 63, "A" * 64, "", "a" * 64 + "/.."])
    def test_the_digest_in_base_json_is_checked(self, tmp_path: Path, digest: str) -> None:
        folder = self.adapter(tmp_path)
        change(folder / "base.json", object=digest)
        with pytest.raises(InputError, match="no object of a store"):
            adapter_base(folder)

    def test_an_adapter_of_itself_is_refused(self, tmp_path: Path) -> None:
        folder = self.adapter(tmp_path, base_model_name_or_path=str(tmp_path / "adapter"))
        with pytest.raises(InputError, match="adapter of itself"):
            load_model(folder)

    def test_a_pickled_adapter_is_refused(self, tmp_path: Path) -> None:
        folder = self.adapter(tmp_path, base_model_name_or_path="tratree-s")
        (folder / "adapter_model.safetensors").unlink()
        (folder / "adapter_model.bin").write_bytes(pickle.dumps({}))
        with pytest.raises(InputError, match=r"adapter_model\.bin, a pickle"):
            load_model(folder)

    @pytest.mark.parametrize(
        "config",
        [
            {"peft_type": "NOTHING"}, {"peft_type": 3}, {"r": "x"}, {"r": -1},
            {"target_modules": [3]}, {"target_modules": {"a": 1}}, {"modules_to_save": 7},
            {"lora_alpha": []}, {"layer_replication": [["a"]]}, {"rank_pattern": [1]},
            {"unknown_field": 1, "task_type": "X"}, {"megatron_core": "os", "megatron_config": {}},
            {"target_modules": "(" * 50},
        ],
    )  # fmt: skip
    def test_a_hostile_adapter_configuration_is_a_sentence(
        self, tmp_path: Path, config: dict[str, Any]
    ) -> None:
        folder = self.adapter(tmp_path, base_model_name_or_path="tratree-s", **config)
        try:
            load_model(folder)
        except InputError as error:
            assert "\n" not in str(error)


def test_a_configuration_without_sizes_is_not_filled_with_random_weights(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}')
    refused(folder, "far larger than its weights")


def test_every_call_that_opens_a_folder_says_whether_its_code_may_run() -> None:
    openers = {"AutoConfig", "AutoModelForCausalLM", "AutoTokenizer", "SentenceTransformer"}
    seen = []
    for path in sorted((templates_dir().parent / "tratree_cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and openers & names_of(node.func):
                said = {keyword.arg for keyword in node.keywords}
                seen.append(path.name)
                assert said & {"trust_remote_code", None}, f"{path}:{node.lineno}"
    assert sorted(seen) == ["load.py", "load.py", "load.py", "similarity.py"]


def names_of(called: ast.expr) -> set[str]:
    """The words of a dotted name: ``AutoConfig.from_pretrained`` has two."""
    return {node.id for node in ast.walk(called) if isinstance(node, ast.Name)}

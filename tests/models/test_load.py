"""Finding and loading models: identities, and what is said when something is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tratree_cli.errors import InputError
from tratree_cli.models.load import (
    EMBEDDED,
    context_length,
    load_model,
    load_tokenizer,
    resolve_base,
)


@pytest.fixture
def copy(policy: Path, tmp_path: Path) -> Path:
    """A copy of the policy's folder that may be broken."""
    return Path(shutil.copytree(policy, tmp_path / "copy"))


def test_a_folder_is_identified_by_its_bytes_not_its_place(policy: Path, copy: Path) -> None:
    assert resolve_base(str(policy)).identity == resolve_base(str(copy)).identity
    (copy / "config.json").write_text("{}")
    assert resolve_base(str(policy)).identity != resolve_base(str(copy)).identity
    assert resolve_base(str(copy)).folder == copy


def test_a_context_length_is_read_from_the_configuration(policy: Path, tmp_path: Path) -> None:
    assert context_length(policy) == 512
    assert context_length(tmp_path) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tratree-x", "did you mean 'tratree-"),
        ("./nowhere", "there is no model './nowhere'"),
        ("some/unknown-model", "hub cannot be reached"),
    ],
)
def test_a_model_that_is_not_there_is_explained_in_a_sentence(name: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_base(name)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a model folder"):
        resolve_base(str(tmp_path))


def test_a_model_without_a_tokenizer_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        load_tokenizer(copy)


def test_damaged_weights_are_refused_in_a_sentence(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(InputError, match="cannot be loaded") as caught:
        load_model(copy)
    assert "\n" not in str(caught.value)


def test_a_damaged_adapter_is_refused_in_a_sentence(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 4}')
    (tmp_path / "adapter_model.safetensors").write_bytes(b"not weights")
    (tmp_path / "base.json").write_text(json.dumps({"name": str(policy)}))
    with pytest.raises(InputError, match=r"the adapter in .* cannot be loaded"):
        load_model(tmp_path)


def test_a_missing_weights_file_is_refused_in_a_sentence(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(InputError, match="cannot be loaded"):
        load_model(copy)


@pytest.mark.parametrize("name", EMBEDDED)
def test_an_embedded_model_has_an_identity_or_says_that_it_is_missing(name: str) -> None:
    try:
        base = resolve_base(name)
    except InputError as error:
        assert name in str(error)
    else:
        assert base.identity.startswith("sha256:") and (base.folder / "config.json").is_file()

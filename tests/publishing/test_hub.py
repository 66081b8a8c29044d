"""What `export --hub` writes is what the hub's own libraries read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.command_line import QUICK, Folder


def test_a_dataset_folder_loads_with_a_configuration_each(filled: Folder) -> None:
    from datasets import load_dataset
    from huggingface_hub import DatasetCard

    answer = filled("export", "seen", "apart", "best", "--hub", "./out/data", "--license", "mit")
    assert answer.code == 0, answer.err
    folder = filled.path / "out" / "data"

    def rows(name: str) -> list[dict[str, object]]:
        cache = filled.path / "cache"
        return list(load_dataset(str(folder), name, split="train", cache_dir=str(cache)))

    (pair,) = rows("pairs")
    assert [m["role"] for m in pair["prompt"]] == ["user", "assistant", "user"]  # type: ignore[attr-defined]
    assert pair["chosen"][0]["content"].endswith("Action: open")  # type: ignore[index]
    assert (pair["score_chosen"], pair["score_rejected"]) == (1.0, 0.0)
    assert [row["score"] for row in rows("rollouts")] == [1.0, 0.0]
    assert rows("paths")[0]["success"] is True
    card = DatasetCard.load(folder / "README.md")
    assert card.data.license == "mit"
    assert [c["config_name"] for c in card.data.to_dict()["configs"]] == [
        "rollouts", "pairs", "paths",
    ]  # fmt: skip
    for reference in ("seen", "apart", "best"):
        shown = filled("store", "show", reference, "--json").json
        assert shown["recipe"][:16] in card.text and shown["object"][:16] in card.text


@pytest.mark.slow
def test_pairs_are_in_the_layout_that_trl_knows(filled: Folder) -> None:
    from tratree_store import Store
    from trl.data_utils import is_conversational

    from tratree_cli.publishing.records import dataset_rows

    (row,) = dataset_rows(Store(filled.path / ".tratree").resolve("apart"))
    assert is_conversational({side: row[side] for side in ("prompt", "chosen", "rejected")})


def test_what_came_from_elsewhere_is_not_given_our_licence(filled: Folder) -> None:
    from tratree_store import Store

    from tratree_cli.publishing.cards import licence_of, published

    store = Store(filled.path / ".tratree")
    seen = published(store, store.resolve("seen"))
    assert licence_of([seen], None) == "other"
    assert licence_of([seen], "mit") == "mit"


def test_a_model_folder_loads_and_its_card_names_evaluations_and_lineage(
    tratree: Folder, policy: Path, pair_documents: object
) -> None:
    from huggingface_hub import ModelCard
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tratree.write("pairs.jsonl", pair_documents)  # type: ignore[arg-type]
    made = tratree(
        "train-strong", "--pairs", "pairs.jsonl", "--model", str(policy), *QUICK, "--name", "mine"
    )
    assert made.code == 0, made.err
    assert tratree("export", "mine", "--hub", "model").code == 0
    folder = tratree.path / "model"
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "other" and card.data.library_name == "transformers"
    assert str(policy) not in card.content and "a local model" in card.text
    assert made.out.strip().partition(":")[2][:16] in card.text
    assert "holds no evaluation of these weights" in card.text
    AutoTokenizer.from_pretrained(folder)
    assert AutoModelForCausalLM.from_pretrained(folder).num_parameters() > 0
    assert all(os.access(path, os.W_OK) for path in folder.iterdir())


def test_an_adapter_travels_with_the_model_it_belongs_to(
    tratree: Folder, policy: Path, pair_documents: object
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    tratree.write("pairs.jsonl", pair_documents)  # type: ignore[arg-type]
    apart = ("--set", "sft.lora_r=4", "--set", "sft.lora_merge=false")
    made = tratree("train-strong", "--pairs", "pairs.jsonl", "--model", str(policy), *QUICK, *apart)
    assert made.code == 0, made.err
    assert tratree("export", "model@latest", "--hub", "model").code == 0
    folder = tratree.path / "model"
    assert not (folder / "base.json").exists()
    base = AutoModelForCausalLM.from_pretrained(folder / "base")
    assert PeftModel.from_pretrained(base, folder).peft_config


def test_nothing_is_pushed_without_a_token_nor_written_over(
    filled: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    filled("export", "seen", "--hub", "me/mine").refused("no token", "./me/mine")
    assert not (filled.path / "me").exists()
    (filled.path / "full").mkdir()
    (filled.path / "full" / "a").write_text("a")
    filled("export", "seen", "--hub", "full").refused("full is not an empty folder")
    filled("export", "seen", "grown", "--hub", "x").refused("'tree', which is no dataset")
    filled("export", "seen", "--hub", "x", "--public").refused("drop --public")
    filled("export", "seen", "--license", "mit", "y.jsonl").refused("--hub")
    assert sorted(path.name for path in filled.path.iterdir()) == [".tratree", "full", "mine.jsonl"]

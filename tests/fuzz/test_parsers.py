"""Whatever is in a file, its parser answers with a value or with one sentence.

``TRATREE_FUZZ`` is the number of cases of all parsers together (``make fuzz`` sets it).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tratree_store import Entry, Recipe, Store, StoreError
from tratree_store import entries as records
from tratree_store.archive import export, import_archive
from tratree_store.atomic import seal
from tratree_store.gone import read as read_note
from tratree_store.held_locks import live_holders
from tratree_store.holders import alive, read_holder
from tratree_store.keys import dump, sha256
from tratree_store.objects import Manifest
from tratree_store.refs import Naming, decode_history, encode_history

from tratree_cli.config import Config, load_recipe, parse_assignment
from tratree_cli.errors import TratreeError
from tratree_cli.formats.importing import guess_format, import_trajectories
from tratree_cli.formats.importing_pairs import import_pairs
from tratree_cli.resources import templates_dir
from tratree_cli.stages.environments import read_prompt

from .changes import byte_edits, changed_bytes, changed_value, dumped, value_edits

ALL = int(os.environ.get("TRATREE_FUZZ", "2000"))
Parse = Callable[[bytes, Path], object]


@dataclass(frozen=True)
class Parser:
    """A parser under test.

    Attributes:
        seed: a valid file.
        parse: reads a file, given its bytes and a folder to write into.
        sealed: gives the bytes of a changed value, if the file is JSON.
    """

    seed: bytes
    parse: Parse
    sealed: Callable[[Any], bytes] | None = None


def _as_file(read: Callable[[Path], object], name: str) -> Parse:
    def parse(data: bytes, folder: Path) -> object:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return read(path)

    return parse


def _entry(store: Store) -> Entry:
    recipe = Recipe("build-tree", 1, "tree", {"seed": 1, "lr": 0.1}, {"rollouts": "a" * 64})
    with store.build(recipe) as build:
        (build.path / "a").mkdir()
        (build.path / "a" / "tree.json").write_text("{}")
        (build.path / "b.txt").write_text("text")
        build.publish({"nodes": 3}, {"command": "tratree"})
    store.leases.release()
    assert build.entry is not None
    return build.entry


def _holder(path: Path) -> object:
    holder = read_holder(path)
    list(live_holders(path.parent))
    return holder and (str(holder), alive(holder), sorted(holder.needs))


def _lock_seed() -> bytes:
    fields = {"pid": 1, "host": "x", "command": "t", "since": 1.0, "started": "", "needs": ["a"]}
    return json.dumps(fields).encode()


def _imported(form: str) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        found = import_trajectories(path, form, on_error="skip")
        return guess_format(path), found, import_trajectories(path, form, kind="demos")

    return read


_jsonl = _as_file(_imported("jsonl"), "a.jsonl")
_sharegpt = _as_file(_imported("sharegpt"), "a.jsonl")


def _prompt(path: Path) -> object:
    return read_prompt(path.parent)


def _project(path: Path) -> object:
    from tratree_cli.config import read_toml

    return Config().with_values(read_toml(path), str(path)).to_dict()


def _assigned(data: bytes, _: Path) -> object:
    text = data.decode("utf-8", "replace")
    return Config().with_values(parse_assignment(text), "--set").to_dict()


def parsers(folder: Path) -> dict[str, Parser]:
    """All parsers, each with a valid seed."""
    store = Store(folder / "seed", durable=False)
    entry = _entry(store)
    manifest = (store.objects / entry.object[:2] / entry.object[2:] / "manifest.json").read_bytes()
    record = records.encode(entry)
    export(store, entry, folder / "seed.tar")
    note = seal({"why": "collected", "at": 1.0, "record": record.decode()})
    namings = [Naming(1.0, "tree", "a" * 64, "b" * 64), Naming(2.0, "", "", "")]
    messages = [
        {"role": "user", "content": "Find a mug."},
        {"role": "assistant", "content": "Thought: t\nAction: search[mug]"},
        {"role": "user", "content": "Done."},
    ]
    episode = {"task": "t1", "messages": messages, "score": 1.0, "success": True}
    shared = [
        {"from": "human", "value": "Go"},
        {"from": "gpt", "value": "Action: go[x]"},
    ]
    chat = {"id": "t2", "conversations": shared, "reward": 0.5}
    pair = {
        "prompt": messages[:1],
        "chosen": messages[1:2],
        "rejected": [{"role": "assistant", "content": "Action: go[y]"}],
    }
    recipes = templates_dir() / "recipes"
    prompt = next((templates_dir() / "prompts").glob("*/*/prompt.toml")).read_bytes()

    def take_in(path: Path) -> object:
        other = Store(path.parent / "other", durable=False, on_warning=lambda _: None)
        return import_archive(other, path)

    def as_lines(value: Any) -> bytes:
        return b"\n".join(map(dumped, value if isinstance(value, list) else [value]))

    def as_record(value: Any) -> bytes:
        value = dict(value) if isinstance(value, dict) else {}
        value["recipe"] = sha256(_dump(value.get("document")))
        return _seal(value)

    return {
        "manifest": Parser(
            manifest, lambda data, _: Manifest.decode(data, sha256(data)), _dump
        ),
        "record": Parser(
            record, lambda data, f: records.decode(data, f, "The record"), as_record
        ),
        "note": Parser(note, _as_file(lambda path: read_note(path, folder), "note.json"), _seal),
        "ref": Parser(
            encode_history("weak", namings), lambda data, _: decode_history(data, "weak")
        ),
        "archive": Parser((folder / "seed.tar").read_bytes(), _as_file(take_in, "seed.tar")),
        "lock": Parser(_lock_seed(), _as_file(_holder, "a.lock"), dumped),
        "recipe": Parser((recipes / "micro.toml").read_bytes(), _as_file(
            lambda path: load_recipe(str(path)), "my.toml")),
        "project": Parser(b'recipe = "quick"\n[sft]\nepochs = 2\n[tree]\nthreshold = 0.9\n',
                          _as_file(_project, "tratree.toml")),
        "--set": Parser(b"sft.epochs=4", _assigned),
        "prompt": Parser(prompt, _as_file(_prompt, "prompt/prompt.toml")),
        "import": Parser(as_lines([episode, episode]), _jsonl, as_lines),
        "import sharegpt": Parser(as_lines([chat]), _sharegpt, as_lines),
        "import pairs": Parser(as_lines([pair]), _as_file(import_pairs, "p.jsonl"), as_lines),
    }  # fmt: skip


def _dump(value: Any) -> bytes:
    try:
        return dump(value)
    except (ValueError, UnicodeError):  # what has no canonical form cannot be sealed
        return dumped(value)


def _seal(value: Any) -> bytes:
    try:
        return seal(value)
    except (ValueError, UnicodeError, AttributeError):
        return dumped(value)


NAMES = (
    "manifest", "record", "note", "ref", "archive", "lock", "recipe", "project", "--set", "prompt",
    "import", "import sharegpt", "import pairs",
)  # fmt: skip


@pytest.fixture(scope="module")
def _parsers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return parsers(tmp_path_factory.mktemp("seeds"))


def _fuzz(parser: Parser, folder: Path, cases: int) -> None:
    parser.parse(parser.seed, folder)  # the seed itself is valid
    lines = [json.loads(line) for line in parser.seed.splitlines()] if parser.sealed else None
    value = lines[0] if lines and len(lines) == 1 else lines

    @settings(
        max_examples=cases,
        deadline=None,
        derandomize="TRATREE_FUZZ" not in os.environ,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(byte_edits, value_edits) if parser.sealed else byte_edits)
    def one_sentence_at_most(edits: Any) -> None:
        if len(edits[0]) == 3:
            assert parser.sealed is not None
            data = parser.sealed(changed_value(value, edits))
        else:
            data = changed_bytes(parser.seed, edits)
        try:
            parser.parse(data, folder)
        except StoreError as error:
            assert "\n" not in str(error), f"not one line: {error}"
        except TratreeError:
            pass  # the command line prints what was typed on one line

    one_sentence_at_most()


@pytest.mark.parametrize("name", NAMES)
def test_a_parser_answers_some_changed_files_with_a_value_or_a_sentence(
    name: str, _parsers: dict[str, Parser], tmp_path: Path
) -> None:
    _fuzz(_parsers[name], tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_parser_answers_many_changed_files_with_a_value_or_a_sentence(
    name: str, _parsers: dict[str, Parser], tmp_path: Path
) -> None:
    _fuzz(_parsers[name], tmp_path, max(100, ALL // len(NAMES)))


@pytest.mark.slow
def test_a_chat_template_that_was_changed_encodes_or_is_refused(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tratree_cli.models.chat_encoding import TurnEncoder

    tokenizer = AutoTokenizer.from_pretrained(templates_dir() / "models" / "tratree-s")
    seed = (templates_dir() / "chat" / "tratree.jinja").read_bytes()

    def encode(data: bytes, _: Path) -> object:
        tokenizer.chat_template = data.decode("utf-8", "replace")
        return TurnEncoder(tokenizer).whole([{"role": "user", "content": "Find a mug."}])

    _fuzz(Parser(seed, encode), tmp_path, max(100, ALL // len(NAMES)))

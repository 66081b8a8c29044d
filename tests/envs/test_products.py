"""Cleaning records, and what is said about data that cannot be used."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tratree_cli.envs.webshop import WebShop, open_environment
from tratree_cli.envs.webshop.files import stream_records
from tratree_cli.envs.webshop.products import Product, clean_products, effective_prices
from tratree_cli.errors import InputError


def record(**fields: Any) -> dict[str, Any]:
    return {
        "asin": "B000000001",
        "name": "Red Shirt",
        "full_description": "",
        "small_description": [],
        "pricing": "$12.99",
        "images": ["x"],
        "product_category": "Clothing › Shirts",
        "query": " Shirts ",
        "category": "fashion",
        "customization_options": "",
        **fields,
    }


def clean(**fields: Any) -> Product:
    products, _ = clean_products([record(**fields)], {})
    return products[0]


@pytest.mark.parametrize(
    ("pricing", "tag", "prices"),
    [
        ("", "$100.0", (100.0,)),
        (None, "$100.0", (100.0,)),
        ("$36", "$36.0", (36.0,)),
        ("$1,299.00", "$1299.0", (1299.0,)),
        ("about $5 - $7.50 or $9", "$5.0 to $7.5", (5.0, 7.5)),
        ("free", "$100.0", (100.0,)),
    ],
)
def test_prices_are_read_from_dollar_signs(
    pricing: str | None, tag: str, prices: tuple[float, ...]
) -> None:
    product = clean(pricing=pricing)
    assert (product.price_tag, product.prices) == (tag, prices)


def test_slashes_in_options_become_bars_with_blanks_and_null_groups_go() -> None:
    options = {
        "Color": [{"value": " Red/Blue "}, {"value": "A / B"}],
        "Size": None,
        "Empty": [],
    }
    assert clean(customization_options=options).options == (
        ("color", ("red | blue", "a  |  b")),
        ("empty", ()),
    )


def test_a_single_bullet_may_be_a_text_and_attributes_have_a_placeholder() -> None:
    product = clean(small_description="only one")
    assert product.bullets == ("only one",)
    assert product.attributes == ("DUMMY_ATTR",)
    assert product.query == "shirts"


def test_records_without_a_usable_asin_are_dropped_and_counted() -> None:
    records = [record(), record(), record(asin="nan"), record(asin="B" * 11)]
    products, dropped = clean_products(records, {})
    assert len(products) == 1
    assert dropped.reasons == {"asin seen before": 1, "asin is not one": 2}


def test_range_prices_are_drawn_from_the_given_generator() -> None:
    product = clean(pricing="$10 - $20")
    drawn = effective_prices([product], random.Random(5))
    assert drawn == {product.asin: random.Random(5).uniform(10.0, 20.0)}


@pytest.mark.parametrize(
    "broken",
    [
        {"name": 3},
        {"small_description": [1]},
        {"customization_options": [1]},
        {"customization_options": {"color": [{}]}},
        {"customization_options": {"color": {"value": "red"}}},
        {"customization_options": {"color": ["red"]}},
        {"pricing": "$.."},
        {"pricing": 12.5},
        {"pricing": "$" + "9" * 400},
        {"product_category": ["a"]},
    ],
)
def test_a_field_of_the_wrong_type_is_an_error_that_names_record_and_field(
    broken: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=r"record 0 \(asin B000000001\)") as refused:
        clean_products([record(**broken)], {})
    assert f"'{next(iter(broken))}'" in str(refused.value)
    assert "Error" not in str(refused.value)


def test_a_field_that_is_missing_is_named() -> None:
    without = record()
    del without["query"]
    with pytest.raises(InputError, match="'query' is missing"):
        clean_products([without], {})


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ([], "its entry in the attribute file"),
        ("red", "its entry in the attribute file"),
        ({"attributes": "red"}, "'attributes' is not a list"),
        ({"attributes": [1]}, "'attributes' is not a list"),
        ({"instruction": 1}, "'instruction' in the attribute file"),
        ({"instruction_attributes": "red"}, "'instruction_attributes' is not a list"),
    ],
)
def test_a_malformed_entry_of_the_attribute_file_is_named(labels: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        clean_products([record()], {"B000000001": labels})


@pytest.mark.parametrize("bad", [{"name": "no asin"}, {"asin": 7}, [], None])
def test_a_record_without_asin_is_an_error_that_names_its_position(bad: Any) -> None:
    with pytest.raises(InputError, match="record 1 has no text field 'asin'"):
        clean_products([record(), bad], {})


def folder(path: Path, products: str | bytes, attributes: str = "{}", human: str = "{}") -> Path:
    content = products.encode() if isinstance(products, str) else products
    (path / "items_shuffle.json").write_bytes(content)
    (path / "items_ins_v2.json").write_text(attributes)
    (path / "items_human_ins.json").write_text(human)
    return path


@pytest.mark.parametrize(
    ("products", "message"),
    [
        ("[]", "holds no products"),
        ("{}", "holds a dict, not a list"),
        ('[\n{"asin": "B1",\n', "line 3: not valid JSON"),
        (b'[{"asin": "\xff"}]', "not valid JSON in UTF-8"),
        ('[{"asin": "nan"}]', "holds no usable product"),
        (json.dumps([record()]), "has no synthetic goals"),
    ],
)
def test_unusable_files_are_explained_in_one_sentence(
    tmp_path: Path, products: str | bytes, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_environment(str(folder(tmp_path, products)), cache=tmp_path / "cache")


def test_missing_files_are_explained(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        open_environment(str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="tratree env fetch webshop"):
        open_environment(str(tmp_path))
    (tmp_path / "items_shuffle_1000.json").write_text("[]")
    with pytest.raises(InputError, match=r"no items_ins_v2\.json"):
        open_environment(str(tmp_path))


@pytest.mark.parametrize(
    ("requests", "named"),
    [
        ([{}], "'instruction' is missing"),
        ([3], "one is not an object"),
        (3, "they are not a list"),
        ("a shirt", "they are not a list"),
        ([{"instruction_options": 3}], "'instruction_options' is not a list of texts"),
        ([{"instruction_options": "red"}], "'instruction_options' is not a list of texts"),
        ([{"instruction_options": [1]}], "'instruction_options' is not a list of texts"),
        ([{"instruction_attributes": ["a", None]}], "'instruction_attributes' is not a list"),
        ([{"instruction_attributes": "red"}], "'instruction_attributes' is not a list"),
        ([{"instruction": ["a"]}], "'instruction' is not a text"),
    ],
)
def test_malformed_human_instructions_are_explained_by_field(
    tmp_path: Path, requests: Any, named: str
) -> None:
    whole = {"instruction": "x", "instruction_attributes": ["a"], "instruction_options": []}
    if isinstance(requests, list):
        requests = [{**whole, **r} if r and isinstance(r, dict) else r for r in requests]
    human = json.dumps({"B000000001": requests})
    data = folder(tmp_path, json.dumps([record()]), human=human)
    with pytest.raises(InputError, match=f"human instructions .*{named}") as refused:
        open_environment(str(data), goals="human", cache=tmp_path / "cache")
    assert "Error" not in str(refused.value)


def test_instructions_for_products_that_are_missing_make_no_goals() -> None:
    request = {
        "instruction": "a shirt.",
        "instruction_attributes": ["red"],
        "instruction_options": [],
    }
    human = {"B000000001": [request], "B999999999": [request]}
    shop = WebShop.from_records([record()], {}, human, goal_kind="human")
    assert [goal.asin for goal in shop.goals] == ["B000000001"]


@pytest.mark.parametrize("chunk", [1000, 65536])
def test_a_large_file_is_read_record_by_record_with_the_same_result(
    edge60: Path, chunk: int
) -> None:
    path = edge60 / "items_shuffle.json"
    assert list(stream_records(path, chunk)) == json.loads(path.read_text("utf-8"))
    small = path.parent / "edge_asins.json"
    with pytest.raises(InputError, match="does not hold a JSON list"):
        list(stream_records(small, chunk))


@pytest.mark.parametrize(
    ("text", "records", "message"),
    [
        (b' [ {"a": "]"} , {"b": [1]}\n]', [{"a": "]"}, {"b": [1]}], None),
        (b"[]", [], None),
        (b'[{"a": 1}, {"b"', [{"a": 1}], "record 1: not valid JSON or cut short"),
        (b'[{"a": 1}', [{"a": 1}], "record 1"),
        (b'[{"a": 1}, nonsense]', [{"a": 1}], "record 1"),
        (b'[{"a": "\xff"}]', [], "not in UTF-8"),
        (b"", [], "does not hold a JSON list"),
        (b'[{"a": 1}{"b": 2}]', [{"a": 1}], "record 1.*a comma is missing before '{'"),
        (b'[{"a": 1},,{"b": 2}]', [{"a": 1}], "record 1"),
        (b'[{"a": 1},]', [{"a": 1}], "record 1"),
        (b"[,]", [], "record 0"),
        (b'[{"a": 1}] {}', [{"a": 1}], "there is more after the end"),
        (b'[{"a": 1}]]', [{"a": 1}], "there is more after the end"),
        (b'[{"a": "\\ud800"}]', [], "record 0"),
        (b'[{"a": "\\ud83d\\ude00"}]', [{"a": "\U0001f600"}], None),
        (b'[{"a": NaN}]', [], "record 0.*NaN is no JSON"),
        (b'[{"a": ' + b"[" * 100_000, [], "record 0.*nested too deeply"),
        (b"[" * 100_000, [], "record 0.*nested too deeply"),
        (b"[1.25e5, 12345678901]", [125000.0, 12345678901], None),
    ],
)
def test_streaming_says_where_a_file_breaks(
    tmp_path: Path, text: bytes, records: list[Any], message: str | None
) -> None:
    path = tmp_path / "items_shuffle.json"
    path.write_bytes(text)
    read = []
    try:
        for record in stream_records(path, 8):
            read.append(record)
    except InputError as error:
        assert message is not None and re.search(message, str(error)), error
    else:
        assert message is None
    assert read == records


def test_a_large_folder_opens_like_a_small_one(
    edge60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_environment(str(edge60), cache=tmp_path).spec
    monkeypatch.setattr("tratree_cli.envs.webshop.files.LARGE", 1000)
    assert open_environment(str(edge60), cache=tmp_path).spec == expected


@pytest.mark.parametrize("number", [-1, 1, 10**9, True])
def test_a_goal_that_is_not_there_is_refused_and_the_session_lives_on(number: int) -> None:
    request = {"instruction": "x", "instruction_attributes": ["a"], "instruction_options": []}
    human = {"B000000001": [request]}
    session = WebShop.from_records([record()], {}, human, goal_kind="human").session()
    page = session.reset(0)
    with pytest.raises(InputError, match="goals are 0 to 0"):
        session.reset(number)
    assert session.step("nonsense") == (page, 0.0, False)


def test_an_unknown_kind_of_goals_is_refused() -> None:
    with pytest.raises(InputError, match="goal_kind is human, synthetic or None, not 'foo'"):
        WebShop.from_records([record()], {}, {}, goal_kind="foo")


def test_hostile_text_passes_through_pages_unharmed() -> None:
    title = "[red]\x1b[31m</b>&amp;" + "x" * 1_000_000
    options = {"Size": [{"value": "a]b"}, {"value": "[c]"}, {"value": ""}]}
    request = {
        "instruction": "get [it] \x00",
        "instruction_attributes": ["red"],
        "instruction_options": [],
    }
    shop = WebShop.from_records(
        [record(name=title, customization_options=options)],
        {},
        {"B000000001": [request]},
        goal_kind="human",
    )
    assert "[it]" in shop.reset(0)
    shop.step("search[<q> shirts]")
    page, _, _ = shop.step("click[b000000001]")
    assert title in page
    assert "click[a]b]" in shop.available_actions()
    assert "click[[c]]" not in shop.available_actions()
    shop.step("click[a]b]")
    page, reward, done = shop.step("click[buy now]")
    assert done and '{"size": "a]b"}' in page and 0 <= reward <= 1

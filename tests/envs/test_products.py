"""Cleaning records, and what is said about data that cannot be used."""

from __future__ import annotations

import json
import random
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
        {"pricing": "$.."},
        {"product_category": ["a"]},
    ],
)
def test_a_field_of_the_wrong_type_is_an_error_that_names_the_record(
    broken: dict[str, Any],
) -> None:
    with pytest.raises(InputError, match=r"record 0 \(asin B000000001\)"):
        clean_products([record(**broken)], {})


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
    "human", ['{"B000000001": [{}]}', '{"B000000001": [3]}', '{"B000000001": 3}']
)
def test_malformed_human_instructions_are_explained(tmp_path: Path, human: str) -> None:
    data = folder(tmp_path, json.dumps([record()]), human=human)
    with pytest.raises(InputError, match="human instructions"):
        open_environment(str(data), goals="human", cache=tmp_path / "cache")


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
        assert message is not None and message in str(error)
    else:
        assert message is None
    assert read == records


def test_a_large_folder_opens_like_a_small_one(
    edge60: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = open_environment(str(edge60), cache=tmp_path).spec
    monkeypatch.setattr("tratree_cli.envs.webshop.files.LARGE", 1000)
    assert open_environment(str(edge60), cache=tmp_path).spec == expected


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

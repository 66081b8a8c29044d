"""Any text at any page: nothing raises, nothing corrupts, sessions never touch each other."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from tratree_cli.envs.webshop import WebShop
from tratree_cli.envs.webshop.actions import parse_action
from tratree_cli.envs.webshop.analyzer import Analyzer
from tratree_cli.envs.webshop.session import Page, ShopSession
from tratree_cli.envs.webshop.title_tokens import title_tokens

# The grammar as one (backtracking) expression, to compare the parser with.
GRAMMAR = re.compile(r"(.+)\[(.+)\]")

texts = st.text(alphabet=st.sampled_from("ab[] \n<>searchclik"), max_size=40) | st.text(max_size=40)
picks = st.integers(0, 30)
words = st.sampled_from(
    ["shirt", "tea", "<r>", "<q> shampoo & conditioner", "<c> beauty", "<a>", "<c>"]
)
moves = st.lists(
    st.one_of(
        texts,
        picks,
        words.map(lambda query: f"search[{query}]"),
        st.sampled_from(
            ["click[next >]", "click[< prev]", "click[back to search]", "click[buy now]"]
        ),
    ),
    max_size=15,
)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_the_parser_reads_what_the_expression_reads(text: str) -> None:
    for candidate in (text, f"search[{text}]", f"click[{text}]", f"click{text}]"):
        match = GRAMMAR.match(candidate)
        expected = None
        if match and match[1] in ("search", "click"):
            expected = (match[1], match[2].lower())
        assert parse_action(candidate) == expected


def test_a_megabyte_of_brackets_is_read_in_no_time() -> None:
    assert parse_action("click" + "[" * 1_000_000) is None
    assert parse_action("click[" + "]" * 1_000_000) == ("click", "]" * 999_999)


def play(session: ShopSession, move: str | int) -> tuple[str, float, bool]:
    if isinstance(move, int):
        actions = session.available_actions()
        move = actions[move % len(actions)] if actions else "click[nothing]"
    return session.step(move)


def check(session: ShopSession, before: str, result: tuple[str, float, bool]) -> None:
    observation, reward, done = result
    assert 0.0 <= reward <= 1.0
    assert done == (session.page is Page.DONE and session.valid)
    assert done or reward == 0.0
    if not session.valid:
        assert observation == before
    assert session.has_search_bar == (session.page is Page.START)
    if session.page is Page.START:
        assert observation.endswith("Search") and session.asin is None
    if session.page in (Page.START, Page.RESULTS):
        assert session.options == {}
    assert session.page_number >= 1


@given(st.integers(0, 61), moves)
@settings(max_examples=80, deadline=None)
def test_no_sequence_of_actions_breaks_a_session(
    shops: dict[str, WebShop], goal: int, sequence: list[str | int]
) -> None:
    shop = shops["edge60-human"]
    session, twin = shop.session(), shop.session()
    observation = session.reset(goal)
    assert twin.reset(goal) == observation
    for move in sequence:
        result = play(session, move)
        check(session, observation, result)
        observation = result[0]
    # A replay on a session that lived beside it gives the same; episodes share nothing.
    for move in sequence:
        last = play(twin, move)
    if sequence:
        assert last == result


def test_options_named_like_buttons_are_offered_only_where_a_click_works(
    shops: dict[str, WebShop],
) -> None:
    session = shops["edge60-human"].session()
    session.reset(0)
    inventory = shops["edge60-human"].inventory
    for asin in ("B0717GF4PH", "B0CJNAIKSH"):
        visit = (
            f"search[<q> {inventory.products[inventory.position[asin]].query}]",
            f"click[{asin}]",
        )
        for action in visit:
            session.step(action)
        offered = session.available_actions()
        assert session.page is Page.ITEM
        assert set(offered) < {f"click[{name}]" for name in session.clickables()}
        for action in offered:
            session.step(action)
            assert session.valid, action
            for again in visit:
                session.step(again)


@given(texts)
@settings(max_examples=200, deadline=None)
def test_any_text_can_be_analysed_and_split(text: str) -> None:
    assert all(Analyzer().terms(text))
    assert "".join(title_tokens(text)) == "".join(text.split())


@given(st.integers(0, 61), st.lists(picks, max_size=12))
@settings(max_examples=50, deadline=None)
def test_every_offered_action_has_an_effect(
    shops: dict[str, WebShop], goal: int, sequence: list[int]
) -> None:
    session = shops["edge60-human"].session()
    session.reset(goal)
    for move in sequence:
        offered = session.available_actions()
        if not offered:
            break
        play(session, move)
        assert session.valid, offered

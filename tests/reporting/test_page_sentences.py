"""What a page tells once: terms, notes, sources, and the examples that it shows."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import orjson

from tests.reporting.conftest import report_of
from tests.reporting.test_case_study import rollouts
from tests.trees.making import made_rollouts
from tratree_cli.display.blocks import (
    Cell,
    Column,
    Comparison,
    Gallery,
    Lane,
    Row,
    Strip,
    StripStep,
    Table,
    Turn,
)
from tratree_cli.display.case_study import compare_on_task
from tratree_cli.display.valid_actions import most_informative, widest_pairs
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.formats.rollouts import Rollouts
from tratree_cli.formats.trees import TreeFile
from tratree_cli.reporting.document import ReportDocument, Section, document_from
from tratree_cli.reporting.figures.gallery import TASKS, chosen_tasks
from tratree_cli.reporting.policy_groups import grouped
from tratree_cli.reporting.render import csv, html, markdown, terminal
from tratree_cli.reporting.render.terms import TERMS, Glossary, anchor
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.divergence_pairs import mine

Maker = Callable[..., EvaluationRow]
Study = Callable[..., list[EvaluationRow]]

STRIP = Strip(
    "story",
    "What was done",
    (
        StripStep("60", "demonstrations", "tasks solved by an expert"),
        StripStep("1,440", "rollouts", "the weak model's own attempts"),
        StripStep("76", "W2SG MCTS"),
    ),
)
COMPARED = Comparison(
    "gallery-t1",
    "Task t1 · SFT weak 0.00, W2SG MCTS 1.00",
    "find a red mug",
    (
        Lane(
            "SFT weak",
            (Turn("click[gold]", times=8, ineffective=True), Turn("click[Buy Now]")),
            "reward 0.00",
        ),
    ),
)
GALLERY = Gallery("gallery", "Tasks and transcripts", (COMPARED,), ("Each task once.",))


def test_a_term_is_explained_where_it_stands_first_and_in_the_list() -> None:
    glossary = Glossary()
    first = glossary.mark("MCTS reads <rollouts>; an episode has a G.")
    assert first.count('class="term"') == 4
    assert "&lt;" in first and "<rollouts>" not in first
    assert 'href="#term-mcts"' in first and "Monte Carlo tree search" in first
    assert "class" not in glossary.mark("MCTS again, and rollouts.")
    assert [term.name for _, term in glossary.entries()] == ["episode", "G", "MCTS", "rollout"]


def test_every_term_has_an_entry_of_its_own_and_is_found_by_its_name() -> None:
    assert len({anchor(term) for term in TERMS}) == len(TERMS)
    for term in TERMS:
        assert re.search(term.pattern, term.name), term.name


def test_a_page_leads_from_its_terms_to_their_entries(make_study: Study) -> None:
    page = html.render(report_of(make_study(2)))
    led = re.findall(r'class="term" href="#([^"]+)"', page)
    assert led and len(led) == len(set(led))
    assert all(f'<dt id="{name}">' in page for name in led)
    assert '<a href="#terms">Terms</a>' in page


def test_a_note_stands_once_and_later_blocks_lead_to_it() -> None:
    columns = (Column("Policy", "text"), Column("Reward"))
    rows = (Row((Cell("MCTS"), Cell(1.0))),)
    tables = tuple(
        Table(key, f"Table {key}", columns, rows, ("Reward times 100.",)) for key in ("a", "b")
    )
    page = html.render(ReportDocument("t", sections=(Section("s", "S", (), tables),)))
    assert page.count("Reward times 100.") == 1
    assert '<a href="#block-a">Table a</a>' in page and 'id="block-a"' in page


def test_a_page_opens_with_what_was_done_and_then_warns() -> None:
    story = Section("story", "What was found", ("It is above the other policy.",), (STRIP,))
    later = Section("rest", "Rest", (), (GALLERY,))
    report = ReportDocument("t", sections=(story, later), warnings=("One warning.",))
    page = html.render(report)
    places = [
        page.index(words)
        for words in ("60</span>", "above the other", "One warning.", '<section id="rest">')
    ]
    assert places == sorted(places)
    without = html.render(replace(report, sections=(later,)))
    assert without.index("One warning.") < without.index('<section id="rest">')


def test_the_strip_and_the_gallery_are_in_every_format_that_has_room() -> None:
    sections = (Section("story", "Story", (), (STRIP,)), Section("g", "Tasks", (), (GALLERY,)))
    report = ReportDocument("t", sections=sections)
    assert document_from(orjson.loads(orjson.dumps(report.to_json()))) == report
    assert "- **1,440** rollouts: the weak model" in markdown.render(report)
    assert "1,440  rollouts" in _printed(report)
    assert csv.render(report).count("\n") == 1
    page = html.render(report)
    assert "×8, no effect" in page and "find a red mug" in page
    assert '<li value="1">' in page and '<li value="9">' in page


def _printed(report: ReportDocument) -> str:
    from tratree_cli.reporting.render.written import written

    assert terminal.render(report, None)
    return written(report, "terminal")


def test_a_repeated_action_without_an_effect_is_told_once() -> None:
    actions = ["search[a]", *["click[gold]"] * 9, "click[Buy Now]"]
    episode = rollouts(("t1", actions, 0.0))
    first = episode.trajectories[0]
    valid = (True, True, *[False] * 8, True)
    stuck = replace(episode, trajectories=[replace(first, valid=valid)])
    (lane,) = compare_on_task("t1", [("SFT", stuck)]).lanes
    told = [(turn.action, turn.times, turn.ineffective) for turn in lane.turns]
    assert told == [
        ("search[a]", 1, False),
        ("click[gold]", 1, False),
        ("click[gold]", 8, True),
        ("click[Buy Now]", 1, False),
    ]


def test_an_action_done_again_has_no_effect_where_nothing_new_is_seen() -> None:
    episode = rollouts(("t1", ["search[a]", *["click[gold]"] * 3, "click[Buy Now]"], 0.0))
    first = episode.trajectories[0]
    page = first.observations[2]
    same = (*first.observations[:2], page, page, page, first.observations[-1])
    lane = compare_on_task("t1", [("SFT", _seeing(episode, same))]).lanes[0]
    assert [(turn.action, turn.times) for turn in lane.turns if turn.ineffective] == [
        ("click[gold]", 2)
    ]
    unlike = compare_on_task("t1", [("SFT", episode)]).lanes[0]
    assert not any(turn.ineffective for turn in unlike.turns)


def _seeing(episode: Rollouts, observations: tuple[int, ...]) -> Rollouts:
    (trajectory,) = episode.trajectories
    return replace(episode, trajectories=[replace(trajectory, observations=observations)])


def _forest(episodes: Rollouts) -> TreeFile:
    return TreeFile(build_forest(columns_from_rollouts(episodes)), episodes, {})


EXAMPLES = made_rollouts(
    [
        ("gibberish", [("page", "click[a]")], 1.0),
        ("gibberish", [("page", "!no words")], 0.0),
        ("valid", [("page", "click[a]"), ("item", "buy")], 0.9),
        ("valid", [("page", "click[b]"), ("other", "buy")], 0.3),
        ("valid", [("page", "!no words")], 0.0),
    ]
)


def test_examples_are_trees_and_pairs_in_which_both_sides_act_validly() -> None:
    tree = _forest(EXAMPLES)
    tasks = tree.forest.columns.tasks
    assert [tasks[number] for number in most_informative(tree)] == ["valid", "gibberish"]
    pairs = mine(tree.forest, select="all", keep_invalid=True).pairs
    widest = widest_pairs(pairs, EXAMPLES, 2)
    assert [tasks[pair.task] for pair in widest] == ["valid", "gibberish"]
    assert widest[0].gap < max(pair.gap for pair in pairs)


def test_the_gallery_has_gains_losses_and_tasks_between() -> None:
    baseline = {f"t{i:03}": 0.5 for i in range(100)}
    rival = {f"t{i:03}": i / 100 for i in range(100)}
    chosen = chosen_tasks(rival, baseline)
    assert len(chosen) == len(set(chosen)) == TASKS
    assert chosen[:2] == ["t099", "t098"] and chosen[-1] == "t000"
    assert any("t040" < task < "t060" for task in chosen)
    assert chosen_tasks({"a": 1.0, "c": 1.0}, {"a": 0.0, "b": 0.0}) == ["a"]


def test_groups_stand_in_one_order_and_say_what_they_are(make_study: Study) -> None:
    groups = report_of(make_study(1)).figures()[0].series
    assert [series.name for series in groups] == [
        "method",
        "baseline",
        "control",
        "for scale",
    ]
    assert [point.x for point in groups[0].points] == ["W2SG MCTS", "W2SG tree-DPO"]
    assert grouped(()) == ()


def test_sources_of_one_name_are_told_apart_by_their_models(make: Maker) -> None:
    report = report_of(
        [make("mcts", [0.0, 1.0], family=family, weak="w") for family in ("small", "large")]
    )
    labels = [source.label for source in report.sources]
    assert labels == [
        "mcts, WebShop test, seed 0, strong model small",
        "mcts, WebShop test, seed 0, strong model large",
    ]


def test_date_version_and_machine_stand_in_the_page_and_not_in_the_artifact(
    make_study: Study,
) -> None:
    report = report_of(make_study(1))
    assert report.to_json()["origin"] == ()
    shown = replace(report, origin=("Made 2026-01-31 10:00 UTC", "tratree 0.2.0"))
    assert "Made 2026-01-31 10:00 UTC · tratree 0.2.0" in html.render(shown)

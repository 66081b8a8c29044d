"""State graphs checked by hand: which states are one, what they are worth, how far success is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trees.making import made_rollouts
from tratree_cli.formats.columns import columns_from_rollouts
from tratree_cli.trees.build import build_forest
from tratree_cli.trees.columns import Columns, columns_from_lists
from tratree_cli.trees.join_states import build_state_graph, graph_from_states
from tratree_cli.trees.left_out import forest_without, graph_without
from tratree_cli.trees.merge_observations import Merger
from tratree_cli.trees.progress import graph_progress, tree_progress
from tratree_cli.trees.state_graph import NEVER, StateGraph

HOME, RESULTS, ITEM, OTHER = 0, 1, 2, 3
SEARCH, RED, BLUE, BUY, BACK = 10, 11, 12, 13, 14


def two_ways() -> Columns:
    """Two searches lead to one page; one buys there, one goes back first and fails."""
    return columns_from_lists(
        ["t"] * 3,
        [
            [(HOME, SEARCH), (RESULTS, BUY)],
            [(HOME, BLUE), (RESULTS, BACK), (HOME, SEARCH), (RESULTS, RED)],
            [(HOME, BLUE), (OTHER, BUY)],
        ],
        [1.0, 0.0, 0.5],
    )


def states(graph: StateGraph, trajectory: int) -> list[int]:
    return [int(state) for state in graph.step_state[graph.columns.span(trajectory)]]


def test_equal_states_of_different_histories_are_one_node() -> None:
    graph = build_state_graph(two_ways())
    assert states(graph, 0) == [0, 1]
    assert states(graph, 1) == [0, 1, 0, 1]
    assert states(graph, 2) == [0, 2]
    assert (len(graph), graph.joined, graph.cycles) == (3, 2, 2)


def test_a_page_that_an_option_left_as_it_was_is_another_state() -> None:
    columns = columns_from_lists(
        ["t"] * 3,
        [
            [(ITEM, RED), (ITEM, BUY)],
            [(ITEM, BUY)],
            [(ITEM, RED), (HOME, SEARCH), (ITEM, BUY)],
        ],
        [1.0, 0.5, 0.5],
    )
    graph = build_state_graph(columns)
    assert states(graph, 0) == [0, 1]
    assert states(graph, 1) == [0]
    assert states(graph, 2) == [0, 2, 0], "what is not on the page any more is not remembered"
    assert states(build_state_graph(columns, remember=False), 0) == [0, 0]


def test_the_order_of_unseen_options_makes_no_other_state() -> None:
    columns = columns_from_lists(
        ["t"] * 2,
        [[(ITEM, RED), (ITEM, BLUE), (ITEM, BUY)], [(ITEM, BLUE), (ITEM, RED), (ITEM, BUY)]],
        [1.0, 1.0],
    )
    graph = build_state_graph(columns)
    assert states(graph, 0)[-1] == states(graph, 1)[-1]


def test_an_action_without_effect_stays_in_its_state_whatever_was_answered() -> None:
    columns = columns_from_lists(
        ["t"],
        [[(HOME, RED), (OTHER, SEARCH), (RESULTS, BUY)]],
        [1.0],
        valid=[[False, True, True]],
    )
    graph = build_state_graph(columns)
    assert states(graph, 0) == [0, 0, 1]
    assert graph.effective.tolist() == [False, True, True]


def test_what_the_environment_says_lasts_tells_states_apart_for_the_whole_episode() -> None:
    steps = [[(HOME, RED), (OTHER, BACK), (HOME, BUY)], [(HOME, BUY)]]
    columns = columns_from_lists(["t"] * 2, steps, [1.0, 0.0])
    plain = build_state_graph(columns)
    assert states(plain, 0)[2] == states(plain, 1)[0]
    lasting = build_state_graph(columns, lasting=lambda action: action == RED)
    assert states(lasting, 0)[2] != states(lasting, 1)[0]


def test_states_of_different_tasks_are_never_one() -> None:
    columns = columns_from_lists(["a", "b"], [[(HOME, BUY)], [(HOME, BUY)]], [1.0, 0.0])
    graph = build_state_graph(columns)
    assert graph.task.tolist() == [0, 1]


def test_similar_observations_of_a_task_are_one_state() -> None:
    vectors = {HOME: (1.0, 0.0), RESULTS: (0.0, 1.0), ITEM: (0.1, np.sqrt(0.99))}
    merger = Merger(0.95, lambda texts: np.array([vectors[t] for t in texts.tolist()]), None)
    columns = columns_from_lists(
        ["t"] * 2, [[(HOME, SEARCH), (RESULTS, BUY)], [(HOME, BLUE), (ITEM, BUY)]], [1.0, 0.0]
    )
    graph = build_state_graph(columns, merger)
    assert states(graph, 0) == states(graph, 1) == [0, 1]
    assert (graph.merged, graph.observation.tolist()) == (1, [HOME, RESULTS])


def test_the_expected_score_goes_through_joined_states_and_cycles() -> None:
    graph = build_state_graph(two_ways())
    # From the results: one of three buys (1), one goes home, one fails (0). From home, of four
    # answers two search and reach the results, of two others one does and one gets 0.5.
    home, results = np.linalg.solve([[1.0, -3 / 4], [-1 / 3, 1.0]], [0.5 / 4, 1 / 3])
    assert graph.value.tolist() == pytest.approx([home, results, 0.5], abs=1e-8)
    by_answer = dict(
        zip(
            zip(graph.answer_state.tolist(), graph.answer_action.tolist(), strict=True),
            graph.answer_value.tolist(),
            strict=True,
        )
    )
    assert by_answer[(0, SEARCH)] == pytest.approx(results, abs=1e-8)
    assert by_answer[(0, BLUE)] == pytest.approx((results + 0.5) / 2, abs=1e-8)
    assert by_answer[(1, BUY)] == 1.0
    assert by_answer[(1, BACK)] == pytest.approx(home, abs=1e-8)


def test_distances_count_steps_to_the_nearest_recorded_success() -> None:
    graph = build_state_graph(two_ways())
    assert graph.distance.tolist() == [2, 1, NEVER]
    found = dict(
        zip(
            zip(graph.answer_state.tolist(), graph.answer_action.tolist(), strict=True),
            graph.answer_distance.tolist(),
            strict=True,
        )
    )
    assert found[(1, BACK)] == 3
    assert found[(0, BLUE)] == 2
    assert found[(1, RED)] == NEVER


def test_an_answer_that_led_to_two_places_is_a_contradiction() -> None:
    columns = columns_from_lists(
        ["t"] * 3, [[(HOME, SEARCH), (RESULTS, BUY)], [(HOME, SEARCH)], [(ITEM, BUY)]], [1.0, 0, 0]
    )
    assert build_state_graph(columns).contradictions == 1
    assert build_state_graph(two_ways()).contradictions == 1


def test_progress_in_a_tree_and_in_a_graph() -> None:
    columns = two_ways()
    tree, graph = tree_progress(build_forest(columns)), graph_progress(build_state_graph(columns))
    # In the tree the failures leave the only way to the success at once; in the graph they come to
    # its last page (two steps from home do), and one goes back and forth.
    assert (tree.failed_progress, tree.failed_steps) == (0, 6)
    assert (graph.failed_progress, graph.failed_steps) == (2, 6)
    assert (tree.successful_idle, graph.successful_idle, graph.successful_steps) == (0, 0, 2)


def test_a_detour_of_a_success_is_no_progress() -> None:
    columns = columns_from_lists(
        ["t"], [[(HOME, SEARCH), (RESULTS, BACK), (HOME, SEARCH), (RESULTS, BUY)]], [1.0]
    )
    found = graph_progress(build_state_graph(columns))
    assert (found.successful_idle, found.successful_steps) == (1, 4)
    assert tree_progress(build_forest(columns)).successful_idle == 0


def test_tasks_without_a_success_are_not_counted() -> None:
    columns = columns_from_lists(["t", "u"], [[(HOME, BUY)], [(HOME, BUY)]], [0.5, 1.0])
    found = graph_progress(build_state_graph(columns))
    assert (found.tasks, found.failed_steps, found.successful_steps) == (1, 0, 1)


def test_a_graph_without_a_scored_trajectory_is_empty() -> None:
    graph = build_state_graph(columns_from_lists(["t", "t"], [[(HOME, BUY)], []], [None, 1.0]))
    assert len(graph) == len(graph.answer_state) == graph.contradictions == graph.cycles == 0
    assert graph_progress(graph).of_failed == 0.0


def test_a_graph_read_from_its_states_is_the_one_that_was_written() -> None:
    columns = columns_from_rollouts(
        made_rollouts([("mug", [("home", "a"), ("page", "b")], 1.0), ("mug", [("home", "b")], 0.0)])
    )
    graph = build_state_graph(columns)
    again = graph_from_states(columns, graph.step_state, graph.merged)
    assert again.observation.tolist() == graph.observation.tolist()
    assert again.answer_value.tolist() == graph.answer_value.tolist()


EPISODES = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.lists(st.tuples(st.integers(0, 3), st.integers(10, 12)), max_size=5),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(EPISODES)
def test_the_first_state_is_worth_the_mean_of_a_task_whose_trajectories_begin_alike(
    episodes: list[tuple[str, list[tuple[int, int]], float | None]],
) -> None:
    begun = [(task, [(99, 9), *steps], score) for task, steps, score in episodes]
    columns = columns_from_lists(
        [task for task, _, _ in begun], [steps for _, steps, _ in begun], [s for _, _, s in begun]
    )
    graph = build_state_graph(columns)
    for task in np.unique(columns.task[columns.counted]).tolist():
        members = columns.counted & (columns.task == task)
        start = int(graph.step_state[columns.offsets[np.flatnonzero(members)[0]]])
        assert graph.value[start] == pytest.approx(columns.score[members].mean(), abs=1e-6)
        reachable = graph.distance[start] != NEVER
        assert reachable == bool((columns.score[members] == 1.0).any())


@settings(max_examples=40, deadline=None)
@given(EPISODES, st.data())
def test_without_some_trajectories_a_forest_is_what_the_others_grow(
    episodes: list[tuple[str, list[tuple[int, int]], float | None]], data: st.DataObject
) -> None:
    columns = columns_from_lists(
        [task for task, _, _ in episodes],
        [steps for _, steps, _ in episodes],
        [score for _, _, score in episodes],
    )
    marked = np.array([data.draw(st.booleans()) for _ in episodes])
    left = forest_without(build_forest(columns), marked)
    scores = [None if mark else score for (_, _, score), mark in zip(episodes, marked, strict=True)]
    own = build_forest(
        columns_from_lists(
            [task for task, _, _ in episodes], [steps for _, steps, _ in episodes], scores
        )
    )
    assert len(left) == len(own)
    for name in ("tree_offsets", "visits", "reward_sum", "endings", "depth"):
        assert sorted(getattr(left, name).tolist()) == sorted(getattr(own, name).tolist())
    # Siblings stand in the order of the whole forest; what they hold is the same.
    for mine, other in ((left, own), (own, left)):
        inside = mine.step_node >= 0
        assert np.array_equal(inside, other.step_node >= 0)
        one, two = mine.step_node[inside], other.step_node[inside]
        assert np.array_equal(mine.reward_sum[one], other.reward_sum[two])
        assert np.array_equal(mine.first[one], other.first[two])
    graph, alone = graph_without(build_state_graph(columns), marked), build_state_graph(own.columns)
    inside = graph.step_state >= 0
    assert np.array_equal(inside, alone.step_state >= 0)
    same = {*zip(graph.step_state[inside].tolist(), alone.step_state[inside].tolist(), strict=True)}
    assert len(same) == len(graph) == len(alone), "the same states, by other numbers"

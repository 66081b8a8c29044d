"""The tables of rounds and of a chain, from rows with known figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tests.reporting.conftest import evaluated
from tratree_cli.display.blocks import BEST, Table
from tratree_cli.reporting.cohorts import Cohort
from tratree_cli.reporting.figures import rounds_curve
from tratree_cli.reporting.render.terminal import BRIEF
from tratree_cli.reporting.report_data import ReportData
from tratree_cli.reporting.round_results import PolicyRounds, RoundResult
from tratree_cli.reporting.rounds_and_chains import MODELS
from tratree_cli.reporting.rows import EvaluationRow
from tratree_cli.reporting.tables import chain, rounds
from tratree_cli.training.rounds import PlayedRound, Rounds

S, M, L = "tratree-s", "tratree-m", "tratree-l"


def row(method: str, share: float, weak: str = "", strong: str = "", seed: int = 0) -> Any:
    scores = [1.0] * round(20 * share) + [0.0] * round(20 * (1 - share))
    up_to = {M: f"{S},{M}", L: f"{S},{M},{L}"}
    chained = method.endswith(("/chain", "/restart-more"))
    parameters = {MODELS: up_to[strong]} if chained else {}
    return evaluated(method, scores, seed=seed, weak=weak, family=strong, parameters=parameters)


def of_a_chain() -> list[EvaluationRow]:
    return [
        row("random", 0.0),
        row("sft-weak", 0.2, weak=S), row("sft-weak", 0.4, weak=M),
        row("sft-strong", 0.4, strong=M), row("sft-strong", 0.5, strong=L),
        row("sft-more", 0.4, S, M), row("sft-more", 0.45, M, L),
        row("mcts", 0.6, S, M), row("mcts", 0.7, M, L),
        row("mcts/chain", 0.8, M, L), row("mcts/restart-more", 0.75, M, L),
        row("ceiling", 0.8, strong=M), row("ceiling", 0.9, strong=L),
    ]  # fmt: skip


def values(table: Table) -> list[list[Any]]:
    return [[cell.value for cell in line.cells] for line in table.rows]


def test_the_staircase_has_a_column_a_link_and_the_chain_begins_with_the_method() -> None:
    stairs, _ = chain.tables(ReportData(tuple(of_a_chain())))
    assert [column.title for column in stairs.columns] == ["Policy", f"{S} → {M}", f"{M} → {L}"]
    assert values(stairs) == [
        ["SFT weak", 20.0, 40.0],
        ["SFT strong", 40.0, 50.0],
        ["SFT strong, more updates", 40.0, 45.0],
        ["W2SG MCTS", 60.0, 70.0],
        ["W2SG MCTS, restarted, all episodes", None, 75.0],
        ["W2SG MCTS, chain", 60.0, 80.0],
        ["ceiling", 80.0, 90.0],
    ]


def test_the_gap_recovered_is_of_each_links_own_models() -> None:
    _, gaps = chain.tables(ReportData(tuple(of_a_chain())))
    first, restart, chained = values(gaps)
    assert first[1:] == ["W2SG MCTS", (60 - 20) / (80 - 20), None, None]
    assert restart[:3] == [f"{M} → {L}", "W2SG MCTS", (70 - 40) / (90 - 40)]
    assert chained[1:3] == ["W2SG MCTS, chain", (80 - 40) / (90 - 40)]
    # Paired on the same tasks: 2 and 1 of 20 more.
    assert [round(value, 6) for value in chained[3:]] == [10.0, 5.0]


def test_without_a_chain_there_is_no_staircase() -> None:
    rows = [one for one in of_a_chain() if one.descriptor.method != "mcts/chain"]
    assert list(chain.tables(ReportData(tuple(rows)))) == []


def played(number: int, reward: float) -> PlayedRound:
    return PlayedRound(number, 72, 30 * number, 6, reward, None, None, 50.0, "m", "e")


def in_rounds(*runs: Sequence[float], ended: str = "") -> PolicyRounds:
    made = [Rounds(tuple(played(n, r) for n, r in enumerate(run, 1)), 3, 20, ended) for run in runs]
    results = []
    for number in range(1, max(map(len, runs)) + 1):
        there = [one for one in made if len(one.played) >= number]
        rows = [
            row("model", one.played[number - 1].reward / 100, seed=seed)
            for seed, one in enumerate(there)
        ]
        best = sum(one.best.number == number for one in there)
        of_round = tuple(one.played[number - 1] for one in there)
        results.append(RoundResult(number, of_round, Cohort(tuple(rows)), best))
    return PolicyRounds("W2SG tree-DPO, rounds", tuple(made), tuple(results))


def test_each_round_is_a_row_with_its_interval_and_the_best_is_marked() -> None:
    table = rounds.rounds_table((in_rounds((40.0, 60.0, 55.0), ended="it ended"),))
    assert table is not None
    assert [line[1:6] for line in values(table)] == [
        ["1", 72, 30, 6, 40.0], ["2", 72, 60, 6, 60.0], ["3", 72, 90, 6, 55.0],
    ]  # fmt: skip
    assert [line.cells[5].mark for line in table.rows] == ["", BEST, ""]
    low, high = table.rows[0].cells[5].low, table.rows[0].cells[5].high
    assert low is not None and high is not None and low < 40.0 < high
    assert table.notes[-1] == "W2SG tree-DPO, rounds: it ended."


def test_several_seeds_are_one_row_a_round_with_their_spread() -> None:
    table = rounds.rounds_table((in_rounds((40.0, 60.0), (50.0, 45.0), (50.0,)),))
    assert table is not None
    assert [line[1] for line in values(table)] == ["1 (2 of 3)", "2 (1 of 2)"]
    assert [cell.cells[5].sd is not None for cell in table.rows] == [True, True]
    figure = rounds_curve.curve([in_rounds((40.0, 60.0))])
    assert figure is not None
    assert [(point.x, round(point.y, 6)) for point in figure.series[0].points] == [
        (1.0, 40.0), (2.0, 60.0),
    ]  # fmt: skip
    assert rounds_curve.curve([in_rounds((40.0,))]) is None


def test_both_tables_fit_80_columns() -> None:
    from tratree_cli.display.terminal_tables import FittingTable

    assert {"rounds", "chain"} <= set(BRIEF)
    table = rounds.rounds_table((in_rounds((40.0, 60.0, 55.0)),))
    assert table is not None
    console = Console(width=80)
    with console.capture() as captured:
        for one in (table, *chain.tables(ReportData(tuple(of_a_chain())))):
            console.print(FittingTable(one))
    printed = captured.get()
    assert max(map(len, printed.splitlines())) <= 80
    assert printed.count("Policy") == 3  # no table had to be cut

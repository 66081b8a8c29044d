"""A pair whose continuations were cut keeps how the chosen trajectory goes on."""

from __future__ import annotations

from pathlib import Path

from tests.trees.making import made_rollouts
from tratree_cli.formats.pairs import read_pairs, render_pairs, write_pairs
from tratree_cli.trees.pairs import Pair, PairSet


def test_the_rest_of_the_chosen_trajectory_is_stored_where_it_was_cut(tmp_path: Path) -> None:
    rollouts = made_rollouts(
        [
            ("mug", [("home", "a"), ("page", "b"), ("item", "buy")], 1.0),
            ("mug", [("home", "c"), ("shelf", "d")], 0.0),
        ]
    )
    for horizon, cut in ((1, True), (2, True), (3, False), (0, False)):
        pair = Pair(0, 0, 0, 1, 1.0, 0.0, horizon=horizon)
        write_pairs(render_pairs(PairSet([pair], {}, divergences=1), rollouts), tmp_path)
        (record,) = read_pairs(tmp_path).pairs
        assert bool(record.rest) is cut
        whole = [message["content"] for message in [*record.chosen, *record.rest]]
        assert [text.split()[-1] for text in whole] == ["a", "page", "b", "item", "buy"]
        assert record.messages().rest == record.rest
        assert [message["role"] for message in record.rest[:1]] == ["user"] * cut

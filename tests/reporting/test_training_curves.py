"""The section of a report on how its policies were trained."""

from __future__ import annotations

from tratree_cli.reporting.figures.training_curves import training_figures


def test_losses_and_margins_become_lines_by_step() -> None:
    curves = {
        "SFT strong": {"loss": [(1, 2.0), (2, 1.5)]},
        "W2SG tree-DPO": {"loss": [(1, 0.7), (2, 0.4)], "margin": [(1, 0.0), (2, 1.0)]},
    }
    loss, of_pairs, margin = training_figures(curves)
    assert [one.name for one in loss.series] == ["SFT strong"]
    assert [point.x for point in loss.series[0].points] == [1.0, 2.0]
    assert [one.name for one in margin.series] == ["W2SG tree-DPO"]
    # A loss of pairs and one of tokens share no axis.
    assert [one.name for one in of_pairs.series] == ["W2SG tree-DPO"]
    assert (loss.y_label, of_pairs.y_label) == ("Loss (nats per token)", "Loss (nats per pair)")
    assert "SFT strong goes from 2.00 to 1.50" in loss.alt


def test_policies_that_were_never_trained_make_no_figure() -> None:
    assert training_figures({}) == ()
    assert training_figures({"one point": {"loss": [(1, 2.0)]}}) == ()

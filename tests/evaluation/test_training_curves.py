"""The section of a report on how its policies were trained."""

from __future__ import annotations

from tratree_cli.evaluation.training_curves import training_section


def test_losses_and_margins_become_lines_by_step() -> None:
    curves = {
        "SFT strong": {"loss": [(1, 2.0), (2, 1.5)]},
        "W2SG tree-DPO": {"loss": [(1, 0.7), (2, 0.4)], "margin": [(1, 0.0), (2, 1.0)]},
    }
    (section,) = training_section(curves)
    loss, margin = section.blocks
    assert [one.name for one in loss.series] == ["SFT strong", "W2SG tree-DPO"]
    assert [point.x for point in loss.series[0].points] == [1.0, 2.0]
    assert [one.name for one in margin.series] == ["W2SG tree-DPO"]
    assert "SFT strong goes from 2 to 1.5" in loss.alt


def test_policies_that_were_never_trained_make_no_section() -> None:
    assert training_section({}) == ()
    assert training_section({"one point": {"loss": [(1, 2.0)]}}) == ()

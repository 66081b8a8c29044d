"""When a report says that SFT was not trained to its end."""

from __future__ import annotations

from typing import Any

from tratree_cli.reporting.warnings.convergence import stopped_early


def auto(best: float) -> dict[str, Any]:
    """A search over 8 and 16 epochs in which one of them was the better."""
    tried = [
        {"epochs": epochs, "updates": 64, "loss": 0.1, "reward": reward, "success": 50.0}
        for epochs, reward in ((8.0, 60.0), (16.0, 60.0 + (best == 16.0) - (best == 8.0)))
    ]
    return {"tried": tried, "candidates": [8.0, 16.0], "tasks": 200, "epochs": best}


def test_a_loss_that_still_falls_is_a_figure_and_no_warning() -> None:
    sign = stopped_early([{"loss_fall": 0.4, "optimizer_steps": 64}])
    assert sign is not None and sign.value == 40.0 and not sign.bad


def test_dev_reward_decides_where_lengths_were_compared_on_it() -> None:
    rising = stopped_early([{"loss_fall": 0.1, "auto": auto(16.0)}])
    assert rising is not None
    assert rising.words == (
        "dev reward was still rising at 16 epochs, the longest tried, so more training alone may "
        "gain"
    )
    peaked = stopped_early([{"loss_fall": 0.9, "auto": auto(8.0)}])
    assert peaked is not None and not peaked.bad


def test_of_several_seeds_it_is_said_how_many() -> None:
    seeds = [{"loss_fall": 0.1, "auto": auto(best)} for best in (8.0, 16.0, 16.0)]
    sign = stopped_early(seeds)
    assert sign is not None and "the longest tried (2 of 3 seeds), so" in sign.words


def test_what_is_no_sft_model_has_no_such_sign() -> None:
    assert stopped_early([{"optimizer_steps": 64}]) is None
    assert stopped_early([]) is None

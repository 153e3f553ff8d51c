"""Step 6: what is said about curves whose answer is known."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ravine.recipe.curves import curves
from ravine.recipe.verdict import Verdict
from ravine.training import Kept, Setting
from ravine.types import Metrics

FLAT = [1.0, 0.6, 0.4, 0.31, 0.302, 0.3, 0.301, 0.299, 0.3, 0.301, 0.299, 0.3]
EXAMPLES = (1000, 1000)


def columns(losses: list[float], train: float, validation: float) -> dict[str, list[float]]:
    """One evaluation an epoch of ten steps; the metrics stand still."""
    count = len(losses)
    return {
        "trial": [0] * count,
        "epoch": list(range(1, count + 1)),
        "step": [10 * i for i in range(1, count + 1)],
        "train_loss": losses,
        "train_metric": [train] * count,
        "validation_loss": losses,
        "validation_metric": [validation] * count,
    }


def kept(validation: Metrics, epoch: int = 12) -> Kept:
    return Kept(0, Setting(), epoch, 100, validation, {})


def read(
    losses: list[float], train: float, validation: float, examples: tuple[int, int] = EXAMPLES, **more: Any
) -> Verdict:
    winner = kept({"accuracy": validation, "nll": 0.3})
    return curves(columns(losses, train, validation), winner, "classification", examples=examples, **more)


def test_training_and_validation_that_agree_at_a_high_level_are_good() -> None:
    verdict = read(FLAT, 0.985, 0.98)
    assert verdict.evidence["label"] == "good"
    assert (verdict.status, verdict.advice) == ("pass", ())
    assert verdict.evidence["gap"] == pytest.approx(0.005)
    assert "accuracy 0.985 in training, 0.980 in validation" in verdict.summary


def test_a_wide_gap_is_over_fitting_and_the_lectures_remedies_are_named() -> None:
    verdict = read(FLAT, 1.0, 0.85, has_dropout=True)
    assert verdict.evidence["label"] == "over-fitting"
    assert verdict.status == "warn"
    assert all(word in verdict.advice[0] for word in ("L2", "dropout", "more data"))


def test_a_small_gap_with_a_rising_validation_loss_is_over_fitting() -> None:
    rising = [1.0, 0.5, 0.3, 0.3, 0.31, 0.32, 0.33, 0.34, 0.34, 0.35, 0.36, 0.37]
    assert read(rising, 1.0, 0.96, (10_000, 10_000)).evidence["label"] == "over-fitting"
    assert read(FLAT, 1.0, 0.96, (10_000, 10_000)).evidence["label"] == "good"


def test_a_gap_that_few_examples_explain_is_not_called_over_fitting() -> None:
    assert read(FLAT, 0.99, 0.93, (200, 40)).evidence["label"] == "good"
    assert read(FLAT, 0.99, 0.93, (20_000, 10_000)).evidence["label"] == "over-fitting"


def test_two_low_curves_are_under_fitting_and_ask_for_a_larger_network() -> None:
    verdict = read(FLAT, 0.71, 0.70)
    assert verdict.evidence["label"] == "under-fitting"
    assert verdict.status == "warn"
    assert "larger network" in verdict.advice[0]


def test_a_validation_loss_that_still_falls_asks_for_time() -> None:
    falling = [1.0 * 0.9**i for i in range(12)]
    verdict = read(falling, 0.9, 0.9)
    assert verdict.evidence["label"] == "still improving"
    assert verdict.evidence["slope_per_epoch"] == pytest.approx(-0.1, abs=0.02)
    assert "--budget" in verdict.advice[0]


def test_a_fall_within_the_noise_is_no_improvement() -> None:
    noisy = [1.0, 0.6, 0.4, 0.3, 0.33, 0.28, 0.33, 0.27, 0.32, 0.27, 0.33, 0.27]
    assert read(noisy, 0.985, 0.98).evidence["slope_per_epoch"] == 0.0


def test_a_winner_that_was_stopped_is_said_to_have_been() -> None:
    verdict = read(FLAT, 0.985, 0.98, stopped="behind at step 40")
    assert (verdict.evidence["label"], verdict.evidence["stopped"]) == ("good", "behind at step 40")
    assert "stopped (behind at step 40)" in verdict.advice[-1]
    assert read(FLAT, 0.985, 0.98).advice == ()


def test_a_loss_that_jumps_is_unstable() -> None:
    jumping = [1.0, 0.5, 0.3, 0.3, 0.3, 0.3, 0.3, 2.0, 0.3, 0.3, 1.9, 0.3]
    verdict = read(jumping, 0.98, 0.98)
    assert verdict.evidence["label"] == "unstable"
    assert "Lower the rate" in verdict.advice[0]


def test_jumps_of_the_beginning_are_forgotten() -> None:
    assert read([1.0, 5.0, 0.5, 9.0, *FLAT[4:]], 0.985, 0.98).evidence["label"] == "good"


def test_the_row_that_is_read_is_the_one_whose_weights_were_kept() -> None:
    table = columns(FLAT, 0.99, 0.9)
    table["validation_metric"][4], table["train_metric"][4] = 0.95, 0.96
    verdict = curves(table, kept({"accuracy": 0.95, "nll": 0.3}, epoch=5), "classification", examples=EXAMPLES)
    assert (verdict.evidence["train_metric"], verdict.evidence["validation_metric"]) == (0.96, 0.95)


def test_regression_is_read_by_its_r2() -> None:
    table = columns(FLAT, 0.97, 0.5)
    verdict = curves(table, kept({"rmse": 5.0, "r2": 0.5}), "regression", examples=EXAMPLES)
    assert verdict.evidence["metric"] == "r2"
    assert verdict.evidence["label"] == "over-fitting"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_evaluations_are_read_without_a_slope_out_of_nothing(count: int) -> None:
    winner = kept({"accuracy": 0.98, "nll": 0.3}, epoch=count)
    verdict = curves(columns([0.3] * count, 0.98, 0.98), winner, "classification", examples=EXAMPLES)
    assert verdict.evidence["label"] == "good"
    assert all(math.isfinite(v) for v in verdict.evidence.values() if isinstance(v, float))

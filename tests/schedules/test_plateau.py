"""Plateau: what it counts as an improvement, and what it makes of standing still."""

import math

import pytest

from ravine.errors import SettingError
from ravine.schedules import Constant, Cosine, Plateau, Product, Sequence, Warmup, factor_at

FLAT = [(t / 10, 1.0) for t in range(11)]  # ten evaluations that find the same


def test_it_falls_after_more_bad_evaluations_than_it_has_patience_for() -> None:
    schedule = Plateau(factor=0.5, patience=2)
    assert [schedule.after([1.0] * n) for n in range(8)] == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


def test_an_improvement_starts_the_count_again() -> None:
    assert Plateau(factor=0.5, patience=1).after([1.0, 1.0, 0.9, 0.9, 0.8, 0.8]) == 1.0


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_metric_that_is_not_finite_is_no_improvement_and_never_the_best(mode: str, bad: float) -> None:
    schedule = Plateau(factor=0.5, patience=0, mode=mode)
    assert schedule.after([bad]) == 0.5
    assert schedule.after([1.0, bad]) == 0.5
    better = 0.5 if mode == "min" else 2.0
    assert schedule.after([bad, 1.0, better]) == 0.5, "what comes after it is measured against finite ones"


@pytest.mark.parametrize(
    ("mode", "threshold_mode", "enough", "too_little"),
    [("min", "rel", 8.9, 9.1), ("min", "abs", 9.8, 9.95), ("max", "rel", 11.1, 10.9), ("max", "abs", 10.2, 10.05)],
)
def test_the_threshold_says_what_counts(mode: str, threshold_mode: str, enough: float, too_little: float) -> None:
    schedule = Plateau(factor=0.5, patience=0, threshold=0.1, threshold_mode=threshold_mode, mode=mode)
    assert schedule.after([10.0, enough]) == 1.0
    assert schedule.after([10.0, too_little]) == 0.5


def test_evaluations_of_the_cooldown_are_not_counted() -> None:
    schedule = Plateau(factor=0.5, patience=0, cooldown=2)
    assert [schedule.after([1.0] * n) for n in range(1, 9)] == [1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.125]


def test_it_never_falls_below_its_floor() -> None:
    assert Plateau(factor=0.1, patience=0, floor=0.03).after([1.0] * 9) == 0.03


def test_what_is_measured_in_the_warm_up_does_not_count() -> None:
    schedule = Warmup(Plateau(factor=0.5, patience=1), share=0.4)
    # Counted from the evaluation at 0.4: the first is the best, the third in a row that is no better is the fall.
    assert [factor_at(schedule, t / 10, FLAT) for t in range(4, 9)] == [1, 1, 0.5, 0.5, 0.25]


def test_the_warm_up_climbs_as_if_nothing_was_measured() -> None:
    schedule = Warmup(Plateau(factor=0.5, patience=0), share=0.4, start=0.0)
    assert [factor_at(schedule, t / 10, FLAT) for t in range(4)] == pytest.approx([0, 0.25, 0.5, 0.75])


def test_in_a_sequence_it_sees_its_own_stretch_alone() -> None:
    schedule = Sequence((Constant(), Plateau(factor=0.5, patience=1), Constant()), milestones=(0.3, 0.8))
    assert [factor_at(schedule, t / 10, FLAT) for t in range(11)] == [1, 1, 1, 1, 1, 0.5, 0.5, 0.25, 1, 1, 1]


def test_in_a_product_it_multiplies_the_rest() -> None:
    plateau, cosine = Plateau(factor=0.5, patience=1), Cosine()
    schedule = Product((cosine, plateau))
    for t in range(10):
        assert factor_at(schedule, t / 10, FLAT) == cosine(t / 10) * plateau.after([1.0] * (t + 1))


@pytest.mark.parametrize("settings", [{"mode": "minimum"}, {"threshold_mode": "relative"}], ids=str)
def test_an_unknown_mode_is_refused(settings: dict[str, str]) -> None:
    name, value = next(iter(settings.items()))
    with pytest.raises(SettingError, match=rf"Plateau\.{name} is '{value}', which is not known"):
        Plateau(**settings)


def test_a_factor_that_would_not_lower_the_rate_is_refused() -> None:
    with pytest.raises(SettingError, match=r"Plateau\.factor is 1\.0; .*\(0, 1\)"):
        Plateau(factor=1.0)

"""Places and ticks: a zero, an absent value and a diverged trial each have a place that no other value has."""

from __future__ import annotations

import math

import pytest

from ravine.reports.figures.axes import Scale, decade_ticks, round_ticks, share_range


def test_a_log_axis_puts_zero_and_absent_below_the_rest_at_places_of_their_own():
    scale = Scale.logarithmic([1e-4, 1e-2, 0.0, None])
    small, large, zero, absent = scale.places
    assert (small, large) == (-4, -2)
    assert len({zero, absent}) == 2
    assert max(zero, absent) < small
    named = dict(zip(scale.texts, scale.ticks, strict=True))
    assert (named["0"], named["none"]) == (zero, absent)


def test_every_place_lies_within_the_axis():
    for values in ([3.0], [0.0, 0.0], [None], [1e-9, 5.0, 0.0, None], []):
        for scale in (Scale.logarithmic(values), Scale.linear(values)):
            low, high = scale.span
            assert low < high
            assert all(low <= place <= high for place in [*scale.places, *scale.ticks])
            assert len(scale.ticks) == len(scale.texts)


def test_a_linear_axis_names_its_last_round_value():
    assert Scale.linear([0.8, 0.95]).texts[-1] == "0.95" or 0.95 in round_ticks(0.8, 0.95)


def test_absent_values_are_named_as_asked():
    assert "diverged" in Scale.linear([0.5, None], "diverged").texts


def test_categories_keep_their_order_and_share_a_place():
    scale = Scale.categorical(["sgd", "adamw", "sgd"])
    assert scale.places == [1, 0, 1]
    assert scale.texts == ["adamw", "sgd"]


@pytest.mark.parametrize(("low", "high"), [(1e-6, 10), (2e-3, 4e-3), (1e-9, 1e9), (0.5, 20), (3.0, 3.0)])
def test_ticks_lie_near_the_values_and_say_what_they_are(low, high):
    places, texts = decade_ticks(low, high)
    assert len(places) <= 10
    for place, text in zip(places, texts, strict=True):
        assert math.log10(float(text)) == pytest.approx(place, abs=0.01)
        assert math.log10(low) - 0.06 <= place <= math.log10(high) + 0.06


def test_a_diverged_r2_does_not_flatten_the_axis():
    low, high = share_range([-1e6, 0.2, 0.8])
    assert low > -1
    assert high < 1

"""Numbers, durations and foreign text in words."""

from __future__ import annotations

import math

import pytest

from ravine.reports.wording import duration, label, number, phrase


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (12345, "12,345"),
        (12345.6, "12,346"),
        (1e-5, "1e-5"),
        (2.512e-7, "2.512e-7"),
        (-0.25, "-0.25"),
    ],
)
def test_a_number_is_rounded_to_what_a_reader_needs(value, text):
    assert number(value) == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_was_not_measured_is_a_dash(value):
    assert number(value) == "—"


def test_a_setting_is_one_line():
    assert phrase({"hidden": [256, 128], "bias": True}) == "hidden = 256, 128; bias = yes"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(59.7, "1 min"), (3599.9, "1 h 0 min"), (90, "1 min 30 s"), (0.2, "0.2 s"), (0.0, "under 0.1 s")],
)
def test_a_duration_has_two_units_at_most(seconds, text):
    assert duration(seconds) == text


def test_a_label_shows_its_tags_and_stays_short():
    assert label("<a href='x'>") == "&lt;a href='x'&gt;"
    assert label("x" * 500, 20) == "x" * 19 + "…"
    assert label("two\nlines") == "two lines"

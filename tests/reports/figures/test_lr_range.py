"""The limit by curvature in the picture of step 3: a labelled line where theory has one, a word where it has none."""

from __future__ import annotations

import pytest

from ravine.reports.figures.lr_range import lr_range
from ravine.reports.folder import read_run
from ravine.reports.records import LrRange

SAID = "The largest eigenvalue of the untrained network, 25 on 1,000 examples, lets sgd converge below 0.05."


@pytest.fixture
def drawn(finished):
    (measured,) = read_run(finished).evidence(LrRange)

    def drawn(curvature):
        record = measured.model_dump() | {"curvature": curvature}
        adamw, sgd = lr_range(LrRange.model_validate(record))
        return adamw, sgd

    return drawn


def limits(picture):
    return [trace for trace in picture.figure.data if trace.name and trace.name.startswith("curvature")]


def test_the_limit_is_a_labelled_line_for_sgd_and_none_for_adamw(drawn):
    adamw, sgd = drawn({"largest": 25.0, "examples": 1000, "stable_below": {"sgd": 0.05}, "said": SAID})
    (line,) = limits(sgd)
    assert (line.name, list(line.x), line.mode) == ("curvature: 0.05", [0.05, 0.05], "lines")
    assert list(line.y) == list(sgd.figure.layout.yaxis.range)
    assert SAID in sgd.caption
    assert limits(adamw) == []
    assert "No limit by curvature is drawn" in adamw.caption


def test_a_limit_beyond_the_rates_tried_is_told_and_not_drawn(drawn):
    _, sgd = drawn({"largest": 1e-3, "examples": 1000, "stable_below": {"sgd": 1400.0}, "said": SAID})
    assert limits(sgd) == []
    assert SAID in sgd.caption


def test_what_was_left_out_is_said_and_an_older_record_says_nothing(drawn):
    _, sgd = drawn({"left_out": "batch norm", "said": "It was left out: batch norm"})
    assert limits(sgd) == []
    assert "It was left out: batch norm" in sgd.caption
    adamw, sgd = drawn(None)
    assert "urvature" not in adamw.caption + sgd.caption

"""The pictures of a curvature record, read off their Plotly figures."""

from __future__ import annotations

import pytest
from tests.reports.inspections import inspection

from ravine.reports.figures.curvature import curvature
from ravine.reports.inspection import Inspection


def pictures(record):
    return {picture.name: picture for picture in curvature(Inspection.model_validate(record))}


def named(picture):
    return {trace.name: trace for trace in picture.figure.data if trace.name}


def test_every_slice_that_was_measured_is_drawn_and_no_other():
    record = inspection()
    assert list(pictures(record)) == [
        "curvature-spectrum",
        "curvature-gradient",
        "curvature-plane",
        "curvature-between",
    ]
    record["slices"] = dict.fromkeys(record["slices"])
    assert list(pictures(record)) == ["curvature-spectrum"]


def test_the_largest_eigenvalue_is_marked_on_the_density():
    picture = pictures(inspection())["curvature-spectrum"]
    assert list(named(picture)["λmax 10"].x) == [10.0, 10.0]
    axis = picture.figure.layout.yaxis
    assert axis.type == "log"
    assert list(axis.ticktext) == ["0.1", "1", "10", "100"]
    dots = picture.figure.data[-1]
    assert sorted(dots.x) == [-0.5, 1.0, 1.5, 2.0, 4.0, 10.0]


def test_without_a_density_the_eigenvalues_found_are_drawn_all_the_same():
    picture = pictures(inspection() | {"spectrum": None})["curvature-spectrum"]
    assert picture.figure.layout.yaxis.type != "log"
    assert len(picture.figure.data[-1].x) == 6


def test_measured_and_predicted_loss_stand_beside_the_largest_stable_rate():
    lines = named(pictures(inspection())["curvature-gradient"])
    assert set(lines) == {"measured", "quadratic", "2/λmax 0.2"}
    assert set(lines["2/λmax 0.2"].x) == {0.2}
    assert lines["measured"].line.dash != lines["quadratic"].line.dash


def test_a_loss_that_explodes_does_not_flatten_the_valley():
    record = inspection()
    record["slices"]["gradient"]["losses"][-1] = 1e6
    figure = pictures(record)["curvature-gradient"].figure
    assert figure.layout.yaxis.range[1] < 2.5


def test_both_surfaces_have_their_lines_at_the_same_levels_and_the_marks_in_place():
    figure = pictures(inspection())["curvature-plane"].figure
    measured, predicted, network, minimum = figure.data
    for side in ("start", "end", "size"):
        assert measured.contours[side] == predicted.contours[side]
    assert measured.contours.start < 0.5 + measured.contours.size
    assert (network.x[0], network.y[0]) == (0.0, 0.0)
    assert (minimum.x[0], minimum.y[0]) == (0.05, 0.02)
    record = inspection()
    record["slices"]["eigenvectors"]["minimum"] = None
    assert len(pictures(record)["curvature-plane"].figure.data) == 3


@pytest.mark.parametrize(("losses", "kind"), [([0.01, 2.0, 0.02], "log"), ([0.5, 2.0, 0.6], None)])
def test_a_high_hill_between_two_models_is_drawn_on_a_log_scale(losses, kind):
    record = inspection()
    record["slices"]["between"]["losses"] = losses
    assert pictures(record)["curvature-between"].figure.layout.yaxis.type == kind

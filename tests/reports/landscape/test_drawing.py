"""A figure holds the numbers of the paths, the surface and the theory, and what moves is named by its trace."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ravine.errors import SettingError
from ravine.landscapes import surface, theory_of, walk
from ravine.reports.landscape import Asked, draw, walked
from ravine.reports.landscape.contours import HIGHEST, ground, level_lines
from ravine.reports.landscape.page import figure_json
from ravine.reports.landscape.shades import GROUND, partners, stroke
from ravine.reports.landscape.window import window_of

RATES = (0.001, 0.01, 0.019)


def picture(arrangement="rules", rules=("gd", "momentum"), surface="ravine50", **more):
    found = walked(Asked(surface, rules, RATES, arrangement=arrangement, **more))
    return found, draw(found)


def row(values) -> list[float]:
    return pytest.approx([float(value) for value in values], rel=1e-5, abs=1e-12)


@pytest.mark.parametrize("arrangement", ["rules", "rates", "race"])
def test_the_traces_hold_the_points_and_losses_of_the_paths(arrangement) -> None:
    found, drawing = picture(arrangement)
    data = drawing.figure.data
    assert drawing.walk["steps"] == 100
    assert len(drawing.walk["paths"]) == len(found.paths) == 6
    for path, moved in zip(found.paths, drawing.walk["paths"], strict=True):
        line, head, curve, dot = (data[moved[part]] for part in ("line", "head", "curve", "dot"))
        assert list(line.x) == row(path.points[:, 0])
        assert list(line.y) == row(path.points[:, 1])
        assert moved["steps"] == list(range(101))
        assert [head.x[0], head.y[0]] == row(path.points[-1])
        assert list(curve.x) == list(range(101))
        assert list(curve.y) == row(path.losses)
        assert [dot.x[0], dot.y[0]] == row([100, float(path.losses[-1])])
        assert line.line.color == curve.line.color == dot.marker.color


def panels(drawing) -> int:
    return sum(trace.type == "contour" for trace in drawing.figure.data)


def test_arrangements_have_a_panel_for_each_rule_for_each_rate_or_one() -> None:
    assert [panels(picture(way)[1]) for way in ("rules", "rates", "race")] == [2, 6, 1]
    sliders = [picture(way)[1].walk["rates"] for way in ("rules", "rates", "race")]
    assert sliders == [["0.001", "0.01", "0.019"], [], ["0.001", "0.01", "0.019"]]


def test_a_rule_has_one_colour_in_a_race_and_a_rate_has_one_elsewhere() -> None:
    _, race = picture("race")
    colours = [race.figure.data[moved["line"]].line.color for moved in race.walk["paths"]]
    assert [len(set(colours[:3])), len(set(colours))] == [1, 2]
    _, apart = picture("rules")
    colours = [apart.figure.data[moved["line"]].line.color for moved in apart.walk["paths"]]
    assert colours[:3] == colours[3:]
    assert len(set(colours)) == 3


def test_a_method_has_a_rate_of_its_own_and_is_seen_at_every_stop() -> None:
    found = walked(Asked("rosenbrock", ("gd", "newton"), (1e-4, 1e-3)))
    assert [moved["rate"] for moved in draw(found).walk["paths"]] == [0, 1, None]


def test_rings_are_the_losses_of_the_theory() -> None:
    found, drawing = picture("race", rules=("momentum",))
    (rings,) = [trace for trace in drawing.figure.data if trace.name == "predicted by the formula"]
    colour_of = {
        drawing.figure.data[m["line"]].line.color: p for m, p in zip(drawing.walk["paths"], found.paths, strict=True)
    }
    assert len(colour_of) == 1  # a race colours rules; which rate a ring belongs to is told by its height
    predicted = {
        round(float(f"{loss:.6g}"), 12)
        for path in found.paths
        for loss in theory_of(found.surface, path.rule)
        .losses(torch.tensor(path.start), path.lr, torch.arange(101))
        .tolist()
    }
    assert len(rings.x) >= 20
    assert {round(height, 12) for height in rings.y} <= predicted


def test_a_noisy_surface_and_other_rules_have_no_rings() -> None:
    for asked in (Asked("noisy", ("gd",), (0.01,)), Asked("ravine50", ("adam",), (0.01,))):
        assert not [t for t in draw(walked(asked)).figure.data if t.name == "predicted by the formula"]


def test_level_lines_are_the_heights_of_the_surface() -> None:
    bowl = ground(surface("bowl"), (-1.0, 1.0, -2.0, 2.0))
    x, y = np.meshgrid(bowl.x, bowl.y)
    assert np.allclose(bowl.heights, x**2 + y**2, atol=1e-6)
    banana = ground(surface("rosenbrock"), (-2.0, 2.0, -1.0, 3.0))
    x, y = np.meshgrid(banana.x, banana.y)
    f = (x - 1) ** 2 + 100 * (y - x**2) ** 2
    assert banana.logarithmic
    assert np.allclose(banana.heights, np.log10(f + banana.eps), atol=1e-5)


def test_the_ground_has_a_gap_where_the_surface_has_no_value() -> None:
    half = ground(surface("log(x) + exp(99*y)", start=(1, 0)), (-1.0, 1.0, -1.0, 1.0))
    assert np.isnan(half.heights[0, 0])
    assert np.isnan(half.heights[-1, -1])  # exp(99) is above HIGHEST
    assert np.exp(99.0) > HIGHEST
    assert np.isfinite(level_lines(half)["contours"]["size"])


def test_the_window_holds_every_start_and_not_a_path_that_flees() -> None:
    ravine = surface("ravine50")
    far = window_of(ravine, walk(ravine, "gd", lrs=0.01, starts=[(9.0, 3.0)]))
    assert far[1] > 9
    assert far[3] > 3
    fled = window_of(ravine, walk(ravine, "gd", lrs=0.03, steps=100))
    assert fled[3] < 3
    assert window_of(ravine, []) == ravine.window


def test_a_path_that_diverges_is_drawn_as_far_as_a_browser_can() -> None:
    found = walked(Asked("saddle", ("gd",), (0.5,), steps=400))
    drawing = draw(found)
    line = drawing.figure.data[drawing.walk["paths"][0]["line"]]
    assert found.paths[0].stopped == "diverged"
    assert max(map(abs, line.y)) < 1e4


def test_a_surface_of_other_than_two_dimensions_cannot_be_drawn() -> None:
    with pytest.raises(SettingError, match=r"5 dimensions.*paths\.json"):
        draw(walked(Asked("quadratic", ("gd",), (0.01,), {"dimension": 5})))


def test_a_page_writes_the_heights_once() -> None:
    _, drawing = picture("rates")
    written = json.loads(figure_json(drawing))
    contours = [trace for trace in written["data"] if trace["type"] == "contour"]
    assert ["z" in trace for trace in contours] == [True, False, False, False, False, False]
    assert {trace["meta"]["like"] for trace in contours[1:]} == {0}
    assert written["data"][0]["type"] == "contour"
    assert len(json.dumps(written)) < 200_000


def test_every_colour_of_a_figure_has_a_partner_in_the_dark() -> None:
    known = partners()
    _, drawing = picture("rates")
    used = {word for word in json.dumps(json.loads(figure_json(drawing))).split('"') if word.startswith("rgb")}
    assert used <= set(known)
    assert set(GROUND) <= set(known)


def test_six_paths_differ_in_colour_and_symbol_and_more_differ_in_dash() -> None:
    strokes = [stroke(place) for place in range(24)]
    assert len({(one.colour, one.dash) for one in strokes}) == 24
    assert len({one.colour for one in strokes[:6]}) == len({one.symbol for one in strokes[:6]}) == 6

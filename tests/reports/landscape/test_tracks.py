"""A long path is thinned without losing its turns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ravine.landscapes import Path, surface, walk
from ravine.reports.landscape.tracks import CLOSE, MOST, as_drawn, left_out, marked_every, track
from ravine.rules import SGD

WINDOW = (-2.0, 2.0, -1.0, 1.0)


def path_of(points: torch.Tensor) -> Path:
    return Path(SGD(), 0.1, tuple(points[0].tolist()), points.double(), points.double().sum(-1), "steps")


def test_a_short_path_is_drawn_whole() -> None:
    (path,) = walk(surface("ravine50"), "gd", lrs=0.019, steps=100)
    drawn = track(path, WINDOW)
    assert drawn.steps.tolist() == list(range(101))
    assert np.array_equal(np.stack((drawn.x, drawn.y), 1), path.points.numpy())
    assert np.array_equal(drawn.losses, path.losses.numpy())
    assert (drawn.marks, left_out([drawn])) == (1, "")


def test_no_point_that_is_left_out_lies_far_from_one_that_is_drawn() -> None:
    (path,) = walk(surface("rosenbrock"), "momentum", lrs=0.001, steps=5000)
    drawn = track(path, WINDOW)
    assert len(drawn.steps) < 3000
    shown = np.stack((drawn.x, drawn.y), 1) / [4, 2]
    every = path.points.numpy() / [4, 2]
    before = np.searchsorted(drawn.steps, np.arange(len(every)), side="right") - 1
    assert np.abs(every - shown[before]).max() <= CLOSE * (1 + 1e-9)
    assert "0.2%" in left_out([drawn])


def test_every_turn_of_a_long_zigzag_is_drawn() -> None:
    steps = torch.arange(2001)
    zigzag = torch.stack((steps / 1000 - 1, (steps % 2) * 0.5), dim=-1)
    drawn = track(path_of(zigzag), WINDOW)
    assert len(drawn.steps) == 2001


def test_a_path_of_any_length_stays_within_bounds_and_says_how() -> None:
    steps = torch.arange(20_001)
    drawn = track(path_of(torch.stack((torch.cos(steps.float()), torch.sin(steps.float() * 1.7)), dim=-1)), WINDOW)
    assert len(drawn.steps) <= MOST
    assert drawn.close > CLOSE
    assert drawn.steps[[0, -1]].tolist() == [0, 20_000]
    assert len(drawn.losses) <= 400
    assert drawn.loss_steps[[0, -1]].tolist() == [0, 20_000]


def test_marked_steps_are_among_those_drawn() -> None:
    (path,) = walk(surface("rosenbrock"), "gd", lrs=1e-5, steps=5000)
    drawn = track(path, WINDOW)
    assert drawn.marks == marked_every(5000) == 50
    assert set(range(0, 5001, 50)) <= set(drawn.steps.tolist())


def test_a_path_can_be_cut_at_a_step() -> None:
    (path,) = walk(surface("bowl"), "gd", lrs=0.01, steps=50)
    drawn = track(path, WINDOW, steps=20)
    assert drawn.steps[-1] == drawn.loss_steps[-1] == 20
    assert drawn.x[-1] == path.points[20, 0]


def test_numbers_are_rounded_far_below_a_pixel_and_gaps_are_none() -> None:
    assert as_drawn(np.array([1.23456789, np.inf, np.nan, -1e-20])) == [1.23457, None, None, -1e-20]


@pytest.mark.parametrize("steps", [1, 10, 125, 126, 999, 10_000, 1_000_000])
def test_there_are_at_most_125_marks_and_at_least_a_third_of_that_on_long_paths(steps) -> None:
    assert steps / marked_every(steps) <= 125
    assert steps < 125 or steps / marked_every(steps) > 40

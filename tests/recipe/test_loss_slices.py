"""Slices through a loss that is a quadratic, where what is measured and what is predicted are one."""

from __future__ import annotations

import copy
import time

import pytest
import torch
from torch import nn

from ravine.curvature import Curvature, Objective, inspect_model
from ravine.recipe.loss_slices import loss_slices, other_than


@pytest.fixture
def objective() -> Objective:
    """A linear model under squared error: a quadratic of 4 parameters, away from its minimum."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(40, 3, generator=draw, dtype=torch.float64) * torch.tensor([3.0, 1.0, 0.5])
    y = x @ torch.tensor([1.0, -1.0, 2.0], dtype=torch.float64) + 0.1 * torch.randn(40, generator=draw)
    model = nn.Linear(3, 1).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.2, -0.5, 1.5]]))
        model.bias.zero_()
    return Objective(model, (x, y), "regression")


@pytest.fixture
def found(objective: Objective) -> Curvature:
    return inspect_model(objective.module, objective.split, "regression")


def test_on_a_quadratic_the_prediction_is_what_is_measured(objective: Objective, found: Curvature) -> None:
    slices = loss_slices(objective, found)
    assert slices.gradient is not None
    assert slices.eigenvectors is not None
    assert slices.gradient.predicted == pytest.approx(slices.gradient.line.losses)
    for measured, predicted in zip(slices.eigenvectors.plane.losses, slices.eigenvectors.predicted, strict=True):
        assert predicted == pytest.approx(measured)
    assert slices.between is None
    assert slices.notes == ()


def test_the_lines_begin_at_the_network_and_reach_beyond_the_largest_stable_rate(
    objective: Objective, found: Curvature
) -> None:
    along = loss_slices(objective, found).gradient
    assert along is not None
    assert along.line.positions[0] == 0
    assert along.line.losses[0] == pytest.approx(found.loss)
    assert along.line.positions[-1] > found.max_lr


def test_the_network_is_in_the_middle_of_the_plane_and_downhill_is_ahead(
    objective: Objective, found: Curvature
) -> None:
    top = loss_slices(objective, found).eigenvectors
    assert top is not None
    middle = len(top.plane.along) // 2
    assert top.plane.along[middle] == pytest.approx(0)
    assert top.plane.losses[middle][middle] == pytest.approx(found.loss)
    assert top.eigenvalues == pytest.approx([one.eigenvalue for one in found.top[:2]], rel=1e-4)
    assert top.minimum is not None
    assert min(top.minimum) > 0
    assert top.minimum[0] < top.plane.along[-1]
    lowest = found.loss - sum(e * m**2 for e, m in zip(top.eigenvalues, top.minimum, strict=True)) / 2
    assert lowest <= min(min(row) for row in top.predicted)


def test_between_two_models_both_are_among_the_places(objective: Objective, found: Curvature) -> None:
    other = copy.deepcopy(objective.module)
    with torch.no_grad():
        other.weight.mul_(-1)
    way = loss_slices(objective, found, other).between
    assert way is not None
    at = dict(zip((round(t, 9) for t in way.line.positions), way.line.losses, strict=True))
    assert at[0.0] == pytest.approx(found.loss)
    assert at[1.0] == pytest.approx(Objective(other, objective.split, "regression").loss())


def test_at_a_minimum_there_is_no_gradient_to_go_along() -> None:
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.constant_(model.weight, 2.0)
    x = torch.ones(4, 1, dtype=torch.float64)
    there = Objective(model, (x, 2 * x[:, 0]), "regression")
    slices = loss_slices(there, inspect_model(model, there.split, "regression"))
    assert (slices.gradient, slices.eigenvectors) == (None, None)  # and one parameter has no plane


def test_what_does_not_fit_into_the_time_is_left_out_and_said(objective: Objective, found: Curvature) -> None:
    slices = loss_slices(objective, found, objective.module, deadline=time.monotonic())
    assert (slices.gradient, slices.eigenvectors, slices.between) == (None, None, None)
    assert "were left out" in slices.notes[0]


def test_the_other_model_is_the_first_with_other_weights() -> None:
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    assert other_than(first, [copy.deepcopy(first), second]) is second
    assert other_than(first, [copy.deepcopy(first)]) is None


def test_a_model_of_other_shapes_is_no_end_of_a_line() -> None:
    first, wider, second = nn.Linear(2, 1), nn.Linear(3, 1), nn.Linear(2, 1)
    assert other_than(first, [wider, second]) is second
    assert other_than(first, [wider]) is None

"""Losses along lines and over planes, each against the loss of a model put there."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from ravine.curvature import (
    Objective,
    along_gradient,
    between,
    extremes,
    filter_normalized,
    hessian,
    line,
    plane,
    plane_through,
)
from ravine.errors import ModelError, SettingError
from ravine.randomness import seeded

from .conftest import Case, normal


def put(objective: Objective, point: Tensor) -> float:
    """The loss of a network whose parameters are `point`."""
    model = copy.deepcopy(objective.module)
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in zip(objective.layout.shapes, objective.unpack(point), strict=True):
            params[name].copy_(value)
    return Objective(model, objective.split, objective.loss_function).loss()


def test_a_line_is_the_loss_of_networks_put_there_and_moves_nothing(case: Case) -> None:
    objective = case.objective(32)
    before = objective.point()
    direction = normal(objective.size)
    found = line(objective, direction, [-0.1, 0.0, 0.2])
    assert list(found.losses) == pytest.approx([put(objective, before + t * direction) for t in found.positions])
    assert found.losses[1] == objective.loss()
    assert torch.equal(before, objective.point())


def test_along_the_gradient_a_position_is_a_learning_rate(case: Case) -> None:
    objective = case.objective()
    found = along_gradient(objective, [0.0, 1e-3])
    drop = found.losses[0] - found.losses[1]
    assert drop == pytest.approx(1e-3 * float(objective.gradient().square().sum()), rel=0.1)


def test_over_two_eigenvectors_the_loss_bends_by_their_eigenvalues(at_rest: Case) -> None:
    objective = at_rest.objective()
    pairs = extremes(hessian(objective), largest=2, tol=1e-6).largest
    reach = 1e-3
    found = plane(objective, pairs.vectors[0], pairs.vectors[1], [-reach, 0, reach], [-reach, 0, reach])
    rows = torch.tensor(found.losses, dtype=torch.float64)
    along = float(rows[1, 0] + rows[1, 2] - 2 * rows[1, 1]) / reach**2
    across = float(rows[0, 1] + rows[2, 1] - 2 * rows[1, 1]) / reach**2
    assert along == pytest.approx(float(pairs.values[0]), rel=1e-2)
    assert across == pytest.approx(float(pairs.values[1]), rel=1e-2)


def network(seed: int) -> nn.Module:
    with seeded(seed, "slice"):
        model = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 2))
        model(3 * torch.randn(40, 3) + 1)
    return model


DATA = (normal(20, 3), torch.arange(20) % 2)


def test_between_two_models_the_ends_are_theirs_and_the_middle_is_of_mean_weights_and_statistics() -> None:
    first, second = network(1), network(2)
    middle = copy.deepcopy(first)
    half = {n: (t + second.state_dict()[n]) / 2 for n, t in first.state_dict().items() if t.is_floating_point()}
    middle.load_state_dict(half, strict=False)
    found = between(first, second, DATA, "classification", [0.0, 0.5, 1.0], batch=7)
    wanted = [Objective(model, DATA, "classification", batch=7).loss() for model in (first, middle, second)]
    assert found.losses[0] == wanted[0]
    assert found.losses[2] == wanted[2]
    assert found.losses[1] == pytest.approx(wanted[1], rel=1e-6)


def test_a_plane_goes_through_its_three_models() -> None:
    models = [network(seed) for seed in (1, 2, 3)]
    found = plane_through(models, DATA, "classification", [0.0, 1.0], [0.0, 1.0])
    wanted = [Objective(model, DATA, "classification").loss() for model in models]
    assert (found.losses[0][0], found.losses[0][1], found.losses[1][0]) == tuple(wanted)


def test_a_random_direction_has_filters_as_long_as_the_networks_and_leaves_biases(case: Case) -> None:
    objective = case.objective()
    parts = objective.layout.views(filter_normalized(objective, seed=1))
    for (name, part), param in zip(parts.items(), objective.params, strict=True):
        if param.ndim < 2:
            assert not part.any(), name
        else:
            torch.testing.assert_close(part.flatten(1).norm(dim=1), param.detach().flatten(1).norm(dim=1))
    assert torch.equal(filter_normalized(objective, 1), filter_normalized(objective, 1))
    assert not torch.equal(filter_normalized(objective, 1), filter_normalized(objective, 2))


def test_models_that_do_not_fit_and_directions_of_another_size_are_refused() -> None:
    other = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
    with pytest.raises(ModelError, match="model 2 differs"):
        between(network(1), other, DATA, "classification", [0.0])
    with pytest.raises(ModelError, match="three models, got 2"):
        plane_through([network(1), network(2)], DATA, "classification", [0.0], [0.0])
    with pytest.raises(SettingError, match="a direction has shape"):
        line(Objective(network(1), DATA, "classification"), torch.ones(3), [0.0])

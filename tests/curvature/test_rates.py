"""Rates from eigenvalues, and descent on a real network on both sides of the edge."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

from ravine.curvature import extremes, hessian, inspect_model, largest_rate, steps_to_halve

from .conftest import Case


def distances(case: Case, vector: Tensor, lr: float, momentum: float, steps: int) -> list[float]:
    """How far along `vector` full-batch descent is from the minimum, at first 1e-5 away."""
    objective = case.objective()
    model = copy.deepcopy(objective.module)
    home = objective.point()
    moved = objective.unpack(home + 1e-5 * vector)
    params = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in zip(objective.layout.shapes, moved, strict=True):
            params[name].copy_(value)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    found = []
    for _ in range(steps):
        here = objective.pack([params[name] for name in objective.layout.shapes])
        found.append(abs(float((here - home) @ vector)))
        optimizer.zero_grad()
        case.loss(model(case.x), case.y).backward()
        optimizer.step()
    return found


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_descent_on_a_trained_network_converges_below_the_reported_rate_and_diverges_above(
    at_rest: Case, momentum: float
) -> None:
    """A tenth below and above: without momentum the distance is 0.8 or 1.2 times the last."""
    found = inspect_model(at_rest.model, (at_rest.x, at_rest.y), at_rest.loss, momentum=[momentum])
    assert found.kind == "minimum"
    rate = found.max_lr_momentum[f"{momentum:g}"]
    vector = extremes(hessian(at_rest.objective()), tol=1e-6).largest.vectors[0]
    below = distances(at_rest, vector, 0.9 * rate, momentum, 120)
    above = distances(at_rest, vector, 1.1 * rate, momentum, 40)
    assert max(below[-5:]) < 0.1 * below[0]
    assert above[-1] > 10 * above[0]
    if not momentum:
        assert below[10] / below[0] == pytest.approx(0.8**10, rel=0.02)
        assert above[10] / above[0] == pytest.approx(1.2**10, rel=0.02)


def test_the_loss_along_an_eigenvector_halves_in_the_steps_foretold() -> None:
    for value, lr in ((1.0, 0.05), (3.0, 0.6), (10.0, 0.001)):
        steps = steps_to_halve(value, lr)
        assert abs(1 - lr * value) ** (2 * steps) == pytest.approx(0.5)


def test_what_never_converges_is_infinite() -> None:
    assert largest_rate(0.0) == largest_rate(-1.0, 0.9) == math.inf
    assert steps_to_halve(-1.0, 0.1) == steps_to_halve(0.0, 0.1) == steps_to_halve(10.0, 0.2) == math.inf
    assert steps_to_halve(10.0, 0.1) == 0.0

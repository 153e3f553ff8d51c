"""The way to the minimum of the local quadratic against the dense eigenvectors."""

from __future__ import annotations

import math

import pytest
import torch

from ravine.curvature import Dense, angle, hessian, newton_direction

from .conftest import Case, normal


def test_it_is_the_damped_inverse_within_the_positive_part(case: Case) -> None:
    objective = case.objective()
    gradient = objective.gradient()
    values, vectors = torch.linalg.eigh(case.matrix)
    damping = 1e-2 * float(values[-1])
    inverse = values.clamp(min=0) / (values**2 + damping**2)
    wanted = -vectors @ (inverse * (vectors.mT @ gradient))
    found = newton_direction(hessian(objective), gradient, damping=damping, steps=400, turn=0.05)
    assert angle(found.vector, wanted) < 0.5
    assert float(found.vector.norm()) == pytest.approx(float(wanted.norm()), rel=0.01)
    drop = -float(gradient @ wanted + wanted @ case.matrix @ wanted / 2)
    assert found.decrease == pytest.approx(drop, rel=0.02)


def test_on_a_round_bowl_the_gradient_points_home_and_in_a_ravine_it_does_not() -> None:
    start = torch.tensor([1.0, 1.0], dtype=torch.float64)
    angles = []
    for steep in (1.0, 100.0):
        matrix = torch.diag(torch.tensor([1.0, steep], dtype=torch.float64))
        gradient = matrix @ start
        found = newton_direction(Dense(matrix), gradient, damping=1e-9)
        torch.testing.assert_close(found.vector, -start)
        angles.append(angle(-gradient, found.vector))
    assert angles[0] == pytest.approx(0.0, abs=1e-6)
    assert angles[1] == pytest.approx(math.degrees(math.atan(100) - math.atan(1)))


def test_negative_curvature_takes_no_part() -> None:
    matrix = torch.diag(torch.tensor([2.0, -1.0], dtype=torch.float64))
    found = newton_direction(Dense(matrix), torch.tensor([2.0, 5.0]).double(), damping=1e-9)
    torch.testing.assert_close(found.vector, torch.tensor([-1.0, 0.0], dtype=torch.float64))


def test_without_a_gradient_there_is_no_way() -> None:
    found = newton_direction(Dense(torch.eye(3)), torch.zeros(3, dtype=torch.float64), damping=0.1)
    assert not found.vector.any()
    assert math.isnan(angle(found.vector, normal(3)))

"""Moments, counts and the picture of a density against all eigenvalues."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ravine.curvature import Dense, Density, extremes, hessian, spectral_density
from ravine.curvature.inspection import _known
from ravine.curvature.krylov import draw
from ravine.errors import SettingError

from .conftest import Case


def density_of(case: Case, probes: int, *, top: int = 12) -> Density:
    operator = hessian(case.objective())
    ends = extremes(operator, largest=top, smallest=top // 2, tol=1e-3, floor=1e-5)
    return spectral_density(operator, probes=probes, steps=20, outliers=_known(ends, 1e-4 * ends.scale))


def test_the_first_four_moments_are_those_of_all_eigenvalues_to_one_per_cent(case: Case) -> None:
    found = density_of(case, probes=100, top=60)
    for order in (1, 2, 3, 4):
        assert found.moment(order).value == pytest.approx(float((case.values**order).mean()), rel=0.01)
    assert found.moment(0).value == pytest.approx(1.0)


def test_the_errors_of_moments_are_those_of_the_probes(cases: dict[str, Case]) -> None:
    """Over 60 seeds the deviations are as large as the errors say, on average: chi^2 of 60, five deviations wide."""
    case = cases["regression"]
    for order in (1, 2):
        wanted = float((case.values**order).mean())
        operator, strange = Dense(case.matrix), 0.0
        for seed in range(60):
            found = spectral_density(operator, probes=20, steps=10, seed=seed).moment(order)
            strange += ((found.value - wanted) / found.error) ** 2
        assert abs(strange - 60 * 19 / 17) < 5 * math.sqrt(2 * 60) * 1.5


def test_one_probe_has_its_moments_exactly(cases: dict[str, Case]) -> None:
    """M steps integrate polynomials up to degree 2 m - 1."""
    matrix = cases["regression"].matrix
    found = spectral_density(Dense(matrix), probes=2, steps=3)
    for row, start in enumerate(draw(Dense(matrix), 2, 0, "probe")):
        unit = start / start.norm()
        for order in range(6):
            moment = float(unit @ torch.linalg.matrix_power(matrix, order) @ unit)
            assert float((found.weights[row] * found.nodes[row] ** order).sum()) == pytest.approx(moment, rel=1e-9)


def test_the_count_of_negative_eigenvalues_is_right_to_its_error(case: Case) -> None:
    threshold = -0.01 * float(case.values.abs().max())
    found = density_of(case, probes=30).below(threshold)
    wanted = int((case.values < threshold).sum())
    assert abs(found.value - wanted) < 4 * found.error + 0.5
    assert found.error < 0.2 * len(case.values)


def test_eigenvalues_counted_one_by_one_are_not_counted_twice(case: Case) -> None:
    found = density_of(case, probes=3)
    assert len(found.outliers) >= 10
    assert float(found.weights.sum(1).mean()) == pytest.approx(1 - len(found.outliers) / found.size)
    assert (found.nodes * (found.weights > 1e-9)).max() < float(found.outliers.max())


def test_a_matrix_with_few_eigenvalues_ends_the_recurrence_early() -> None:
    found = spectral_density(Dense(torch.diag(torch.tensor([1.0] * 6 + [4.0] * 2))), probes=400, steps=8)
    assert found.moment(1).value == pytest.approx(1.75, abs=4 * found.moment(1).error)
    assert found.below(2.0).value == pytest.approx(6.0, abs=0.3)


def test_probes_that_do_not_fit_the_memory_go_one_after_another(cases: dict[str, Case]) -> None:
    matrix = cases["regression"].matrix
    asked: list[int] = []

    class Counted(Dense):
        def __call__(self, vectors: Tensor) -> Tensor:
            asked.append(len(vectors))
            return super().__call__(vectors)

    roomy, tight = (spectral_density(Counted(matrix), probes=7, steps=5, memory=room) for room in (2**29, 1))
    assert set(asked[:5]) == {7}
    assert set(asked[5:]) == {1, 2}
    torch.testing.assert_close(tight.nodes, roomy.nodes)


def test_the_curve_has_area_one_and_its_mean_is_the_first_moment(case: Case) -> None:
    found = density_of(case, probes=5)
    low, high = float(case.values[0]), float(case.values[-1])
    width = (high - low) / 100
    grid = torch.linspace(low - 10 * width, high + 10 * width, 2000, dtype=torch.float64)
    curve = found.curve(grid, width)
    assert torch.trapezoid(curve, grid).item() == pytest.approx(1.0, rel=1e-3)
    assert torch.trapezoid(curve * grid, grid).item() == pytest.approx(found.moment(1).value, rel=1e-2)


@pytest.mark.parametrize("wrong", [{"probes": 1}, {"steps": 0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingError, match="probes is"):
        spectral_density(Dense(torch.eye(3)), **wrong)
    with pytest.raises(SettingError, match="width"):
        spectral_density(Dense(torch.eye(3))).curve(torch.zeros(1), 0.0)

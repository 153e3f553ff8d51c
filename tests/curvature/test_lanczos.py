"""Both ends of the spectrum against dense eigenvalues."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor

from ravine.curvature import Dense, extremes, hessian
from ravine.errors import SettingError

from .conftest import Case, normal


def rotated(values: Tensor) -> Tensor:
    turn = torch.linalg.qr(normal(len(values), len(values), seed=7)).Q
    return turn @ torch.diag(values.double()) @ turn.mT


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_both_ends_are_the_dense_hessians_to_a_ten_thousandth(case: Case, dtype: torch.dtype) -> None:
    found = extremes(hessian(case.objective(32, dtype)), largest=3, smallest=2, tol=1e-4, floor=0.0)
    assert found.converged
    assert found.products < len(case.matrix)
    wanted = case.values
    torch.testing.assert_close(found.largest.values, wanted.flip(0)[:3], rtol=1e-4, atol=0)
    torch.testing.assert_close(found.smallest.values, wanted[:2], rtol=1e-4, atol=0)
    for pairs, truth in ((found.largest, wanted.flip(0)[:3]), (found.smallest, wanted[:2])):
        assert ((pairs.values - truth).abs() <= pairs.errors).all()
        residual = pairs.vectors @ case.matrix - pairs.values[:, None] * pairs.vectors
        assert (residual.norm(dim=1) <= 2 * pairs.errors).all()


@pytest.mark.parametrize("tol", [0.1, 1e-2, 1e-3])
def test_it_stops_as_soon_as_the_tolerance_is_reached(cases: dict[str, Case], tol: float) -> None:
    operator = Dense(cases["tanh classifier"].matrix)
    counts = []
    for seed in range(5):
        found = extremes(operator, smallest=0, tol=tol, seed=seed)
        assert abs(found.largest.values[0] / cases["tanh classifier"].values[-1] - 1) < tol
        assert found.largest.errors[0] <= tol * found.largest.values[0]
        counts.append(found.products)
    assert max(counts) < {0.1: 15, 1e-2: 20, 1e-3: 30}[tol]


def test_an_invariant_space_is_left_for_the_rest_and_equal_eigenvalues_are_all_found() -> None:
    """Three distinct values: the first space is invariant after three steps."""
    values = torch.tensor([5.0, 5.0, 5.0] + [1.0] * 20 + [-2.0, -2.0])
    found = extremes(Dense(rotated(values)), largest=4, smallest=3)
    assert found.converged
    torch.testing.assert_close(found.largest.values.float(), torch.tensor([5.0, 5.0, 5.0, 1.0]))
    torch.testing.assert_close(found.smallest.values.float(), torch.tensor([-2.0, -2.0, 1.0]))
    gram = found.largest.vectors @ found.largest.vectors.mT
    torch.testing.assert_close(gram, torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("values", [[0.0] * 5, [3.0] * 5, [7.0]])
def test_a_matrix_of_one_eigenvalue_is_done_at_once(values: list[float]) -> None:
    found = extremes(Dense(torch.diag(torch.tensor(values))))
    assert found.converged
    assert found.largest.values.item() == pytest.approx(values[0])
    assert found.smallest.values.item() == pytest.approx(values[0])
    assert found.products <= 2


def test_as_many_steps_as_parameters_know_every_eigenvalue(cases: dict[str, Case]) -> None:
    case = cases["regression"]
    found = extremes(hessian(case.objective()), largest=len(case.matrix), steps=len(case.matrix))
    assert found.complete
    assert (found.values - case.values).abs().max() < 1e-9


def test_the_basis_stays_orthogonal_over_many_steps(cases: dict[str, Case]) -> None:
    case = cases["tanh classifier"]
    found = extremes(Dense(case.matrix), largest=40, smallest=40, tol=1e-10, steps=200)
    vectors = torch.cat([found.largest.vectors, found.smallest.vectors])
    gram = vectors @ vectors.mT
    assert (gram - torch.eye(len(gram), dtype=torch.float64)).abs().max() < 1e-12


def test_a_seed_fixes_the_answer_and_no_global_state_is_moved(cases: dict[str, Case]) -> None:
    operator, before = Dense(cases["regression"].matrix), torch.get_rng_state()
    first, again, other = (extremes(operator, seed=seed).largest.vectors for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_what_is_not_reached_in_time_or_steps_is_not_called_converged(cases: dict[str, Case]) -> None:
    operator = Dense(cases["tanh classifier"].matrix)
    few = extremes(operator, steps=5)
    late = extremes(operator, deadline=time.monotonic())
    assert (few.products, few.converged, late.converged) == (5, False, False)
    assert few.largest.errors[0] > 1e-4 * few.largest.values[0]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"largest": 0, "smallest": 0}, "at least one eigenvalue"),
        ({"tol": 0.0}, "tol"),
        ({"steps": 1}, "fewer than"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        extremes(Dense(torch.eye(9)), **wrong)

"""Hutch++ against the trace of dense Hessians."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from ravine.curvature import Dense, hessian, trace_of
from ravine.errors import SettingError

from .conftest import Case

SEEDS = 300


@pytest.mark.parametrize("products", [30, 60])
def test_the_trace_lies_within_its_error_for_95_per_cent_of_seeds(case: Case, products: int) -> None:
    """Two-sided: too wide an interval fails as too narrow a one does, each by chance once in 2,000 times."""
    truth = float(case.matrix.trace())
    found = [trace_of(Dense(case.matrix), products=products, seed=seed) for seed in range(SEEDS)]
    inside = sum(abs(one.value - truth) <= one.error for one in found)
    low, high = binom.ppf([0.0005, 0.9995], SEEDS, 0.95)
    assert low <= inside <= high
    assert {one.products for one in found} == {products}


def test_it_is_as_right_through_the_network_as_with_the_matrix(case: Case) -> None:
    through = trace_of(hessian(case.objective(32)), seed=4)
    direct = trace_of(Dense(case.matrix), seed=4)
    assert through.value == pytest.approx(direct.value, rel=1e-9)


def test_a_third_as_many_products_as_rank_make_it_exact() -> None:
    basis = torch.linalg.qr(torch.randn(40, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    matrix = basis @ torch.diag(torch.tensor([9.0, 3.0, 1.0, -1.0, -4.0], dtype=torch.float64)) @ basis.mT
    found = trace_of(Dense(matrix), products=15)
    assert found.value == pytest.approx(8.0, rel=1e-10)
    assert found.error < 1e-9


def test_fewer_products_than_three_pairs_are_refused() -> None:
    with pytest.raises(SettingError, match="at least 6"):
        trace_of(Dense(torch.eye(3)), products=5)

"""Parameters as one flat row, and closures as objectives."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.engines.closures import ClosureObjective, FlatParameters, GraphObjective
from ravine.errors import SettingError


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def test_a_row_holds_every_number_and_is_written_back_in_place() -> None:
    params = [draw(2, 3), draw(2, dtype=torch.complex128), draw(3, 4).T, torch.tensor(5.0, dtype=torch.float64)]
    flat = FlatParameters(params)
    row = flat.read()
    assert row.shape == (1, 6 + 4 + 12 + 1)
    assert row[0, 6:10].tolist() == torch.view_as_real(params[1]).flatten().tolist()
    before = [param.clone() for param in params]
    where = [param.data_ptr() for param in params]
    flat.write(2 * row)
    assert [param.data_ptr() for param in params] == where
    assert all(torch.equal(param, 2 * old) for param, old in zip(params, before, strict=True))


@pytest.mark.parametrize(
    ("dtypes", "row"),
    [
        ([torch.float16], torch.float32),
        ([torch.bfloat16, torch.float32], torch.float32),
        ([torch.float32, torch.float64], torch.float64),
        ([torch.complex64], torch.float32),
        ([torch.float16, torch.complex128], torch.float64),
    ],
)
def test_a_row_has_the_widest_dtype_and_single_precision_at_least(dtypes: list[torch.dtype], row: torch.dtype) -> None:
    params = [torch.ones(2, dtype=dtype) for dtype in dtypes]
    assert FlatParameters(params).read().dtype == row
    FlatParameters(params).write(FlatParameters(params).read())
    assert [param.dtype for param in params] == dtypes


def test_a_gradient_that_is_missing_is_zero_and_one_that_is_sparse_made_dense() -> None:
    params = [nn.Parameter(draw(2)), nn.Parameter(draw(3, 2)), nn.Parameter(draw(1))]
    params[1].grad = torch.sparse_coo_tensor(
        torch.tensor([[0, 2, 2]]), draw(3, 2, seed=1), (3, 2), check_invariants=True
    )
    params[2].grad = torch.tensor([7.0], dtype=torch.float64)
    dense = params[1].grad.to_dense()
    assert FlatParameters(params).gradient().tolist() == [[0.0, 0.0, *dense.flatten().tolist(), 7.0]]


def test_maximizing_turns_loss_and_gradient_and_hessian_round_together() -> None:
    param = nn.Parameter(draw(3))
    flat = FlatParameters([param])
    row = flat.read()
    found = []
    for maximize in (True, False):
        objective = GraphObjective("Newton", lambda: (param**3).sum(), flat, maximize=maximize)
        found.append((*objective.evaluate(row), objective.hessian(row)))
    for up, down in zip(*found, strict=True):
        assert up.any()
        assert torch.equal(up, -down)


def test_the_hessian_spans_parameters_and_counts_a_complex_number_as_two() -> None:
    real, complex_ = nn.Parameter(draw(2)), nn.Parameter(draw(1, seed=3, dtype=torch.complex128))
    idle, frozen = nn.Parameter(draw(1)), nn.Parameter(draw(1), requires_grad=False)

    def of_row(row: Tensor) -> Tensor:
        return row[0] ** 2 * row[1] + row[0] * row[2] ** 2 + torch.sin(row[3]) * row[1]

    def closure() -> Tensor:
        return of_row(torch.cat([real, complex_.real, complex_.imag, frozen]))

    flat = FlatParameters([real, complex_, idle, frozen])
    row = flat.read()
    objective = GraphObjective("Newton", closure, flat, maximize=False)
    _, grad = objective.evaluate(row)
    expected = torch.autograd.functional.hessian(of_row, row[0])
    torch.testing.assert_close(objective.hessian(row)[0], expected)
    torch.testing.assert_close(grad[0], torch.autograd.functional.jacobian(of_row, row[0]))


def test_a_loss_that_is_linear_has_a_hessian_of_zeros() -> None:
    param = nn.Parameter(draw(2))
    flat = FlatParameters([param])
    objective = GraphObjective("Newton", lambda: param.sum(), flat, maximize=False)
    objective.evaluate(flat.read())
    assert not objective.hessian(flat.read()).any()


@pytest.mark.parametrize("loss", [None, "0.5", torch.zeros(2), torch.tensor(1 + 1j), [1.0]])
def test_a_closure_that_returns_no_number_is_told_what_to_return(loss: object) -> None:
    flat = FlatParameters([nn.Parameter(draw(2))])
    objective = ClosureObjective("LBFGS", lambda: loss, flat, maximize=False)
    if loss == "0.5":
        assert objective.evaluate(flat.read())[0].item() == 0.5
        return
    with pytest.raises(SettingError, match=r"the closure of LBFGS returned .*`return loss`"):
        objective.evaluate(flat.read())

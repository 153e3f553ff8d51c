"""Penalties by hand, by autograd, by the lasso of scikit-learn, and by what makes a proximal step one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet as ScikitElasticNet
from sklearn.linear_model import Lasso
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.regularization import L1, L2, ElasticNet, Penalty

WEIGHT = torch.tensor([[1.0, -2.0], [0.0, 0.5]], dtype=torch.float64)

PENALTIES = [L2(0.3), L1(0.2), ElasticNet(0.2, 1.5)]

every_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: type(penalty).__name__)


def model() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    made[0].weight.data[0, 0] = 0.0  # where |W| has no derivative
    return made


@pytest.mark.parametrize(
    ("penalty", "value", "slope", "proximal"),
    [
        (L2(0.5), 2.625, [[1.0, -2.0], [0.0, 0.5]], [[2 / 3, -4 / 3], [0.0, 1 / 3]]),
        (L1(2.0), 7.0, [[2.0, -2.0], [0.0, 2.0]], [[0.0, -1.0], [0.0, 0.0]]),
        (ElasticNet(1.0, 0.5), 6.125, [[2.0, -3.0], [0.0, 1.5]], [[1 / 3, -1.0], [0.0, 0.0]]),
    ],
)
def test_each_penalty_is_as_worked_by_hand(penalty: Penalty, value: float, slope: Any, proximal: Any) -> None:
    """The proximal step is taken with lr 0.5."""
    assert penalty({"w": WEIGHT}).item() == penalty.penalty({"w": WEIGHT}).item() == value
    torch.testing.assert_close(penalty.slope(WEIGHT), torch.tensor(slope, dtype=torch.float64))
    torch.testing.assert_close(penalty.proximal(WEIGHT, 0.5), torch.tensor(proximal, dtype=torch.float64))


@every_penalty
def test_the_slope_is_the_gradient_by_autograd(penalty: Penalty) -> None:
    made = model()
    penalty(made).backward()
    for name, param in made.named_parameters():
        if name.endswith("bias"):
            assert param.grad is None
        else:
            assert param.grad is not None
            torch.testing.assert_close(penalty.slope(param), param.grad, rtol=1e-14, atol=0)


@every_penalty
def test_a_penalty_sums_over_the_chosen_parameters_alone(penalty: Penalty) -> None:
    made = model()
    kind = type(penalty)
    numbers = {name: value for name, value in vars(penalty).items() if name not in ("include", "exclude")}
    first = kind(**numbers, exclude=("2.*",))(made)
    last = kind(**numbers, include=("2.weight",))(made)
    torch.testing.assert_close(first + last, penalty(made))
    assert min(first.item(), last.item()) > 0
    torch.testing.assert_close(penalty(made.named_parameters()), penalty(made))


def test_l2_is_the_weight_decay_of_sgd_at_half_the_strength() -> None:
    one, other = model(), model()
    other.load_state_dict(one.state_dict())
    x = torch.randn(5, 3, dtype=torch.float64)
    (one(x).square().mean() + L2(0.05, include=("*",))(one)).backward()
    torch.optim.SGD(one.parameters(), lr=0.1).step()
    other(x).square().mean().backward()
    torch.optim.SGD(other.parameters(), lr=0.1, weight_decay=2 * 0.05).step()
    for here, there in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(here, there, rtol=1e-13, atol=1e-15)


numbers = st.floats(-10, 10, allow_subnormal=False)
strength = st.floats(0, 5, allow_subnormal=False)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=6), strength, strength, st.floats(1e-3, 3))
def test_zero_is_a_subgradient_at_the_proximal_point(weights: list[float], l1: float, beta: float, lr: float) -> None:
    """(w - v) / lr lies in l1 * d|v| + 2 l2 v: one point where v is not 0, an interval where it is."""
    penalty, w = ElasticNet(l1, beta), torch.tensor(weights, dtype=torch.float64)
    v = penalty.proximal(w, lr)
    pull = (w - v) / lr - 2 * penalty.strengths.l2 * v
    slack = 1e-11 / lr + 1e-11 * (1 + l1 * beta)  # rounding of w - v, divided by lr
    assert ((pull - l1 * v.sign()).abs()[v != 0] <= slack).all()
    assert (pull.abs()[v == 0] <= l1 + slack).all()


@every_penalty
def test_shrinking_in_place_is_the_proximal_step_of_the_chosen(penalty: Penalty) -> None:
    made = model()
    before = {name: param.detach().clone() for name, param in made.named_parameters()}
    penalty.shrink_(made, 0.7)
    for name, param in made.named_parameters():
        wanted = before[name] if name.endswith("bias") else penalty.proximal(before[name], 0.7)
        assert torch.equal(param, wanted)
        assert param.requires_grad


def lasso_problem() -> tuple[Tensor, Tensor]:
    """40 rows of 8 features, of which 3 matter."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(40, 8, generator=generator, dtype=torch.float64)
    truth = torch.tensor([2.0, 0, 0, -1.0, 0, 0, 0.5, 0], dtype=torch.float64)
    return x, x @ truth + 0.3 * torch.randn(40, generator=generator, dtype=torch.float64)


def descended(penalty: Penalty, x: Tensor, y: Tensor) -> Tensor:
    """Plain gradient descent on |Xw - y|^2 / n, with the proximal step after each."""
    layer = nn.Linear(8, 1, bias=False).double()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for _ in range(800):
        optimizer.zero_grad()
        (layer(x).squeeze(1) - y).square().mean().backward()
        optimizer.step()
        penalty.shrink_(layer, 0.1)
    return layer.weight.detach().squeeze(0)


@pytest.mark.parametrize(
    ("penalty", "peer"),
    [  # scikit-learn's data term is 1 / (2 n), half of a mean, so its strengths are half of ours
        (L1(0.4), lambda: Lasso(alpha=0.2, fit_intercept=False, tol=1e-14, max_iter=100_000)),
        (  # 2 * (alpha * l1_ratio * |w| + alpha * (1 - l1_ratio) / 2 * w^2) with alpha 0.4 is 0.4 |w| + 0.2 w^2
            ElasticNet(0.4, 0.5),
            lambda: ScikitElasticNet(alpha=0.4, l1_ratio=0.5, fit_intercept=False, tol=1e-14, max_iter=100_000),
        ),
    ],
)
def test_proximal_descent_solves_the_lasso_with_the_same_exact_zeros(penalty: Penalty, peer: Callable[[], Any]) -> None:
    x, y = lasso_problem()
    found = descended(penalty, x, y).numpy()
    wanted = peer().fit(x.numpy(), y.numpy()).coef_
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-8)
    assert ((found == 0) == (wanted == 0)).all()
    assert 0 < (found == 0).sum() < 8


def test_not_a_number_stays_one_and_an_infinite_weight_infinite() -> None:
    moved = ElasticNet(0.1, 1.0).proximal(torch.tensor([torch.nan, torch.inf, -torch.inf]), 0.5)
    assert moved[0].isnan()
    assert moved[1:].tolist() == [torch.inf, -torch.inf]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@every_penalty
def test_the_dtype_of_the_weights_is_kept(penalty: Penalty, dtype: torch.dtype) -> None:
    weight = WEIGHT.to(dtype)
    assert {each.dtype for each in (penalty.slope(weight), penalty.proximal(weight, 0.1), penalty({"w": weight}))} == {
        dtype
    }


@pytest.mark.parametrize("bad", [-0.1, float("nan"), float("inf"), "much", None])
@pytest.mark.parametrize("make", [L2, L1, lambda v: ElasticNet(v, 1.0), lambda v: ElasticNet(1.0, v)])
def test_a_strength_that_is_none_is_refused(make: Callable[[Any], Penalty], bad: Any) -> None:
    with pytest.raises(SettingError, match=r"must lie in \[0, inf\)"):
        make(bad)


def test_an_elastic_net_whose_strengths_multiply_to_infinity_is_refused() -> None:
    with pytest.raises(SettingError, match=r"l1 \* beta is inf"):
        ElasticNet(1e300, 1e300)


@every_penalty
def test_a_negative_rate_is_refused(penalty: Penalty) -> None:
    with pytest.raises(SettingError, match=r"lr is -0.1"):
        penalty.proximal(WEIGHT, -0.1)
    with pytest.raises(SettingError, match=r"lr is -0.1"):
        penalty.shrink_({"w": WEIGHT}, -0.1)


@pytest.mark.parametrize("role", ["include", "exclude"])
@pytest.mark.parametrize("kind", [L1, L2])
def test_patterns_are_checked_when_a_penalty_is_made(kind: Callable[..., Penalty], role: str) -> None:
    with pytest.raises(SettingError, match=rf"{kind.__name__}: {role} is '\*.weight'"):
        kind(0.1, **{role: "*.weight"})

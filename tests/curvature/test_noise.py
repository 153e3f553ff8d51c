"""The gradient noise scale against every example's own gradient."""

from __future__ import annotations

import math
import time

import pytest
import torch
from torch import Tensor, nn

from ravine.curvature import Objective, noise_scale
from ravine.curvature.noise import _power_of_two
from ravine.errors import DataError, SettingError

from .conftest import Case, normal


def each_gradient(objective: Objective) -> Tensor:
    """[N, P], one backward pass for each example."""
    rows = [objective.rows(torch.tensor([i])) for i in range(objective.examples)]
    return torch.stack([objective.pack(torch.autograd.grad(objective.loss_of(*row), objective.params)) for row in rows])


def test_per_example_gradients_give_what_brute_force_gives(case: Case) -> None:
    objective = case.objective()
    rows = each_gradient(objective)
    noise = float(rows.var(0, unbiased=True).sum())
    signal = float(rows.mean(0).square().sum()) - noise / len(rows)
    found = noise_scale(objective)
    assert (found.groups, found.group_size) == (len(rows), 1)
    assert found.noise == pytest.approx(noise, rel=1e-9)
    assert found.signal == pytest.approx(signal, rel=1e-9)
    assert found.scale == pytest.approx(noise / signal if signal > 0 else math.inf, rel=1e-9)


def test_a_model_that_vmap_refuses_gets_the_same_answer() -> None:
    class Branching(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            out = super().forward(x)
            return out if float(out.detach().sum()) > -1e9 else -out

    x, y = normal(30, 4), torch.arange(30) % 3
    plain, branching = nn.Linear(4, 3).double(), Branching(4, 3).double()
    branching.load_state_dict(plain.state_dict())
    found, wanted = (noise_scale(Objective(model, (x, y), "classification")) for model in (branching, plain))
    assert found.noise == pytest.approx(wanted.noise, rel=1e-9)
    assert found.error == pytest.approx(wanted.error, rel=1e-9)


class Shifted(nn.Module):
    """Its gradient at example x is weight - x: the noise is the variance of x, the signal the square of its mean."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.weight).square().sum(1) / 2


def known(seed: int, mean: float, rows: int = 400) -> Objective:
    x = normal(rows, 5, seed=seed) + mean
    return Objective(Shifted(5), (x, torch.zeros(rows)), lambda out, _: out.mean())


@pytest.mark.parametrize("groups", [1000, 50])
def test_noise_and_signal_are_unbiased_and_their_errors_right(groups: int) -> None:
    """Truth: noise 5, signal 5 * 0.3^2. Over 200 data sets; bounds are 4 standard errors."""
    found = [noise_scale(known(seed, 0.3), groups=groups) for seed in range(200)]
    for name, truth in (("noise", 5.0), ("signal", 5 * 0.3**2)):
        values = torch.tensor([getattr(one, name) for one in found])
        spread = float(values.std())
        assert abs(float(values.mean()) - truth) < 4 * spread / math.sqrt(200)
        stated = math.sqrt(sum(getattr(one, f"{name}_error") ** 2 for one in found) / 200)
        assert stated == pytest.approx(spread, rel=0.2)


def test_sorted_data_does_not_hide_its_noise_in_groups() -> None:
    """Groups of neighbours would be alike within: the noise between groups would be ten times too large."""
    x = torch.cat([torch.full((200, 5), 1.0), torch.full((200, 5), -0.5)]).double()
    objective = Objective(Shifted(5), (x, torch.zeros(400)), lambda out, _: out.mean())
    truth = float(x.var(0).sum())
    assert noise_scale(objective, groups=40).noise == pytest.approx(truth, rel=0.6)


def test_a_vanished_gradient_leaves_a_lower_bound_only() -> None:
    objective = known(1, 0.0)
    found = noise_scale(objective)
    assert not found.resolved
    assert found.error == math.inf
    assert 0 < found.at_least <= found.scale
    assert found.suggested_batch == _power_of_two(found.at_least, 400)


def test_the_suggested_batch_is_a_power_of_two_within_the_data() -> None:
    assert [_power_of_two(value, 400) for value in (0.2, 1.0, 90.0, 91.0, 1e9, math.inf)] == [1, 1, 64, 128, 256, 256]


def test_for_a_deadline_the_same_examples_make_fewer_and_larger_groups() -> None:
    x = normal(300, 4) + 1
    objective = Objective(Shifted(4), (x, x), lambda outputs, _: outputs.mean())
    late, never = noise_scale(objective, deadline=time.monotonic()), noise_scale(objective)
    assert (late.groups, late.group_size) == (30, 10)
    assert (never.groups, never.group_size) == (300, 1)
    assert abs(late.scale - never.scale) < 4 * math.hypot(late.error, never.error)


def test_too_few_examples_or_groups_are_refused() -> None:
    with pytest.raises(DataError, match="at least 3 examples"):
        noise_scale(known(0, 1.0, rows=2))
    with pytest.raises(SettingError, match="groups is 2"):
        noise_scale(known(0, 1.0), groups=2)

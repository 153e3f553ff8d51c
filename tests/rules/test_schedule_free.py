"""Schedule-free rules: against the three sequences kept apart, steps by hand, and the weights they settle on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Rule
from ravine.rules.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD

SGD = ScheduleFreeSGD(momentum=0.7, weight_decay=0.1, r=0.5, weight_lr_power=1.5)
ADAMW = ScheduleFreeAdamW(beta1=0.7, beta2=0.9, eps=1e-3, weight_decay=0.1, r=0.5, weight_lr_power=1.5)
RATES = [0.0, *(0.01 * step for step in range(1, 11)), *[0.1] * 60, *[0.03] * 30]  # warm-up from 0, and a drop
both = pytest.mark.parametrize("rule", [SGD, ADAMW], ids=lambda rule: type(rule).__name__)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference(rule: ScheduleFreeSGD | ScheduleFreeAdamW, start: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The docstring's formula, with x, y and z all kept."""
    x = y = z = start
    square, weights, rates = torch.zeros_like(start), [], []
    beta = rule.momentum if isinstance(rule, ScheduleFreeSGD) else rule.beta1
    for t, (lr, each) in enumerate(zip(RATES, noise, strict=True), start=1):
        direction = y + each
        if isinstance(rule, ScheduleFreeAdamW):
            square = rule.beta2 * square + (1 - rule.beta2) * direction**2
            direction = direction / ((square / (1 - rule.beta2**t)).sqrt() + rule.eps)
        z = z - lr * (direction + rule.weight_decay * y)
        rates.append(lr)
        weights.append(t**rule.r * max(rates) ** rule.weight_lr_power)
        share = weights[-1] / sum(weights) if sum(weights) else 0.0
        x = (1 - share) * x + share * z
        y = (1 - beta) * z + beta * x
    return x, y, z


# Both keep two of the three sequences in float64; the third costs a division by beta.
@both
def test_it_walks_the_path_of_three_sequences_kept_apart(rule: ScheduleFreeSGD | ScheduleFreeAdamW) -> None:
    start, noise = draw(3, 4), draw(len(RATES), 3, 4, seed=1)
    param, state = start, rule.init(start)
    for step, (lr, each) in enumerate(zip(RATES, noise, strict=True), start=1):
        param, state = rule.update(param, param + each, state, lr=lr, step=step)
    ours, theirs = (rule.settled(param, state), param, state.z), reference(rule, start, noise)
    for here, there in zip(ours, theirs, strict=True):
        torch.testing.assert_close(here, there, rtol=1e-11, atol=1e-12)


def test_two_steps_of_sgd_by_hand() -> None:
    rule = ScheduleFreeSGD(momentum=0.75, weight_decay=0.5)
    param = torch.tensor([4.0], dtype=torch.float64)
    param, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.5, step=1)
    assert (state.z.item(), param.item()) == (2.0, 2.0), "the first average is the first z: 4 - 0.5 * (2 + 0.5 * 4)"
    param, state = rule.update(param, torch.tensor([1.0], dtype=torch.float64), state, lr=1.0, step=2)
    z = 2 - 1.0 * (1 + 0.5 * 2)
    x = 2 + (1.0 / 1.25) * (z - 2)  # the weights are the rates squared, 0.25 and 1
    assert (state.z.item(), state.weight_sum.item(), state.lr_max.item()) == (z, 1.25, 1.0)
    assert param.item() == pytest.approx(0.25 * z + 0.75 * x, rel=1e-14)
    assert rule.settled(param, state).item() == pytest.approx(x, rel=1e-14)


def test_the_first_step_of_adamw_by_hand() -> None:
    rule = ScheduleFreeAdamW(beta2=0.75, eps=0.5, weight_decay=0.25)
    param = torch.tensor([4.0], dtype=torch.float64)
    moved, state = rule.update(param, torch.tensor([2.0], dtype=torch.float64), rule.init(param), lr=0.1, step=1)
    assert state.square.item() == 0.25 * 4
    assert moved.item() == pytest.approx(4 - 0.1 * (2 / (2 + 0.5) + 0.25 * 4), rel=1e-14)


@both
def test_equal_rates_average_every_z_alike(rule: Rule) -> None:
    rule = replace(rule, r=0.0)
    param, noise, seen = draw(5), draw(30, 5, seed=1), []
    state = rule.init(param)
    for step, each in enumerate(noise, start=1):
        param, state = rule.update(param, param + each, state, lr=0.1, step=step)
        seen.append(state.z)
    torch.testing.assert_close(rule.settled(param, state), torch.stack(seen).mean(0), rtol=1e-11, atol=1e-12)


@both
def test_a_rate_of_0_moves_nothing(rule: Rule) -> None:
    param = draw(3)
    moved, state = rule.update(param, draw(3, seed=1), rule.init(param), lr=0.0, step=1)
    assert torch.equal(moved, param)
    assert torch.equal(rule.settled(moved, state), param)


@both
def test_before_the_first_step_the_settled_weights_are_the_parameter(rule: Rule) -> None:
    param = draw(3).float()
    assert torch.equal(rule.settled(param, rule.init(param)), param)


@pytest.mark.parametrize("shape", [(2,), (2, 3), (2, 3, 4)], ids=str)
def test_stacked_trials_settle_each_by_its_own_share(shape: tuple[int, ...]) -> None:
    shares = [0.5, 0.9]
    stacked = ScheduleFreeSGD(momentum=torch.tensor([[share] for share in shares], dtype=torch.float64))
    param, state = draw(*shape).float(), stacked.init(draw(*shape, seed=1).float())
    settled = stacked.settled(param, state)
    assert settled.dtype == torch.float32
    for trial, share in enumerate(shares):
        alone = ScheduleFreeSGD(momentum=share).settled(param[trial], state._replace(z=state.z[trial]))
        torch.testing.assert_close(settled[trial], alone, rtol=1e-6, atol=1e-6)


# In bfloat16 a sum of ones stops at 256, where the next is half of its last digit.
@both
def test_the_sum_of_weights_goes_on_growing_for_bfloat16_parameters(rule: Rule) -> None:
    param, rule = torch.zeros(2, dtype=torch.bfloat16), replace(rule, r=0.0)
    state = rule.init(param)
    for step in range(1, 601):
        param, state = rule.update(param, torch.ones_like(param), state, lr=1e-3, step=step)
    assert state.weight_sum.item() == pytest.approx(600 * 1e-3**1.5, rel=1e-4)
    assert param.dtype == state.z.dtype == torch.bfloat16


@pytest.mark.parametrize(("kind", "name"), [(ScheduleFreeSGD, "momentum"), (ScheduleFreeAdamW, "beta1")])
@pytest.mark.parametrize("bad", [0.0, torch.tensor([[0.5], [0.0]])], ids=str)
def test_a_share_of_0_is_refused_as_the_average_would_be_lost(kind: type[Rule], name: str, bad: object) -> None:
    with pytest.raises(SettingError, match=rf"{kind.__name__}\.{name} is 0; .* cannot be recovered"):
        kind(**{name: bad})

"""What must hold of every rule that looks across coordinates: over parameters of every rank, and trial by trial.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.engines.packing import Layout
from ravine.engines.stacking import stack_rules
from ravine.engines.updates import MappedUpdate
from ravine.rules import RULES, Rule
from ravine.rules.lamb import LAMB
from ravine.rules.muon import Muon
from ravine.rules.schedule_free import ScheduleFreeAdamW, ScheduleFreeSGD
from ravine.rules.shampoo import Shampoo
from ravine.rules.soap import SOAP

K = 3

# Each case makes the rule of one trial from a number in (0, 1).
CASES: dict[str, Callable[[float], Rule]] = {
    "lamb": lambda x: LAMB(beta1=x, beta2=x, weight_decay=x),
    "muon": lambda x: Muon(momentum=x, weight_decay=x, beta1=x, beta2=x, adamw_lr_ratio=x),
    "muon original": lambda x: Muon(momentum=x, nesterov=False, adjust_lr_fn="original"),
    "muon matrix=False": lambda x: Muon(beta1=x, matrix=False),
    "soap": lambda x: SOAP(beta1=x, shampoo_beta=x, eps=1e-3 * x, precondition_frequency=2),
    "soap short": lambda x: SOAP(beta2=x, weight_decay=x, precondition_frequency=2, max_precond_dim=2),
    "shampoo": lambda x: Shampoo(beta1=x, beta2=x, matrix_eps=1e-3 * x, update_every=2),
    "shampoo no grafting": lambda x: Shampoo(beta1=x, weight_decay=x, max_size=3, grafting=False),
    "schedule-free sgd": lambda x: ScheduleFreeSGD(momentum=x, weight_decay=x, r=x, weight_lr_power=x),
    "schedule-free adamw": lambda x: ScheduleFreeAdamW(beta1=x, beta2=x, weight_decay=x, weight_lr_power=x),
}
every_case = pytest.mark.parametrize("make", CASES.values(), ids=CASES)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
every_shape = pytest.mark.parametrize("shape", [(), (3,), (4, 3), (2, 3, 4), (2, 3, 2, 2)], ids=str)


class EveryRank(nn.Module):
    """Parameters of 0 to 4 axes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.linear = nn.Linear(3, 4)
        self.cube = nn.Parameter(torch.ones(2, 2, 3))
        self.convolution = nn.Conv2d(2, 3, 2)


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def alone(rule: Rule, param: Tensor, grads: list[Tensor], lr: float) -> tuple[Tensor, Any]:
    state = rule.init(param)
    for step, grad in enumerate(grads, start=1):
        param, state = rule.update(param, grad, state, lr=lr, step=step)
    return param, state


def together(rules: list[Rule], start: Tensor, grads: list[Tensor], rates: list[float]) -> Tensor:
    """K trials of EveryRank by the engine; start and each of grads: [K, P]."""
    flat = start.clone()
    update = MappedUpdate(stack_rules(rules), Layout.of(EveryRank()), flat)
    for step, grad in enumerate(grads, start=1):
        update.step(flat, grad, rates, step)
    return flat


def test_every_rule_that_looks_across_is_examined() -> None:
    assert {rule for rule in RULES.values() if not rule.elementwise} <= {type(make(0.6)) for make in CASES.values()}


# Stacked matrix products are summed in another order; a few decompositions of float64 keep 12 digits.
@every_case
@pytest.mark.parametrize("spread", [0.0, 0.1], ids=["equal trials", "a value per trial"])
def test_stacked_trials_match_trials_run_one_by_one(make: Callable[[float], Rule], spread: float) -> None:
    rules, rates, layout = [make(0.6 + spread * k) for k in range(K)], [0.05, 0.1, 0.2], Layout.of(EveryRank())
    start, grads = draw(K, layout.size), list(draw(7, K, layout.size, seed=1))
    stacked = together(rules, start, grads, rates)
    for k, rule in enumerate(rules):
        plain = replace(rule, weight_decay=0.0)
        for name, param in layout.views(start[k]).items():
            mine = [layout.views(grad[k])[name] for grad in grads]
            wanted, _ = alone(rule if name in layout.decaying else plain, param, mine, rates[k])
            torch.testing.assert_close(layout.views(stacked[k])[name], wanted, rtol=1e-11, atol=1e-11)


@every_case
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("when", [0, 2])
def test_a_trial_that_breaks_leaves_the_others_bits_untouched_and_shows(
    make: Callable[[float], Rule], bad: float, when: int
) -> None:
    rules, rates, size = [make(0.6) for _ in range(K)], [0.1] * K, Layout.of(EveryRank()).size
    start, grads = draw(K, size), list(draw(5, K, size, seed=1))
    broken = [grad.clone() for grad in grads]
    for grad in broken[when:]:
        grad[1] = bad
    well, ill = (together(rules, start, each, rates) for each in (grads, broken))
    assert torch.equal(ill[[0, 2]], well[[0, 2]])
    assert not ill[1].isfinite().any()


@every_case
@every_dtype
@every_shape
def test_shape_and_dtype_are_kept(make: Callable[[float], Rule], shape: tuple[int, ...], dtype: torch.dtype) -> None:
    start, grads = draw(*shape, dtype=dtype), [draw(*shape, seed=s, dtype=dtype) for s in (1, 2, 3, 4)]
    first = make(0.6).init(start)
    param, last = alone(make(0.6), start, grads, 0.1)
    assert (param.shape, param.dtype) == (shape, dtype)
    assert param.isfinite().all()
    before, after = ([None if t is None else (t.shape, t.dtype) for t in state] for state in (first, last))
    assert after == before


@every_case
@every_shape
def test_a_rate_per_trial_in_float64_does_not_promote_a_parameter(
    make: Callable[[float], Rule], shape: tuple[int, ...]
) -> None:
    start = draw(*shape, dtype=torch.float32)
    param, _ = alone(make(0.6), start, [start, start], torch.tensor(0.1, dtype=torch.float64))
    assert param.dtype == torch.float32


@every_case
@every_shape
def test_an_update_leaves_its_inputs_as_they_were(make: Callable[[float], Rule], shape: tuple[int, ...]) -> None:
    rule, param, grad = make(0.6), draw(*shape), draw(*shape, seed=1)
    _, state = alone(rule, param, [grad], 0.1)
    held = [t for t in (param, grad, *state) if t is not None]
    before = [t.clone() for t in held]
    rule.update(param, grad, state, lr=0.1, step=2)
    assert all(torch.equal(now, was) for now, was in zip(held, before, strict=True))


@every_case
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4)], ids=str)
def test_the_rule_descends_on_a_quadratic_of_matrices(make: Callable[[float], Rule], shape: tuple[int, ...]) -> None:
    rule, curvature, param = make(0.9), 0.5 + draw(*shape).abs(), draw(*shape, seed=1)
    state, start = rule.init(param), (curvature * param.square()).sum()
    for step in range(1, 401):
        param, state = rule.update(param, curvature * param, state, lr=0.05 * (1 - step / 401), step=step)
    assert (curvature * rule.settled(param, state).square()).sum() < 0.01 * start

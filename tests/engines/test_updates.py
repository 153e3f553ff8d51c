"""Running a rule over packed parameters: at once, or each parameter by itself when the rule looks across.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from ravine.engines.compiled import compiled
from ravine.engines.fused import KERNELS, kernel_of
from ravine.engines.packing import Layout
from ravine.engines.stacking import stack_rules
from ravine.engines.updates import CompiledUpdate, FusedUpdate, MappedUpdate, PackedUpdate, Update, update_for
from ravine.rules import SGD, Adagrad, Adam, AdamW, NAdam, RAdam, RMSprop, Rule
from ravine.types import Hyper

K = 4


class NormalizedState(NamedTuple):
    velocity: Tensor
    spare: Tensor | None = None  # a structure without memory here


class NormalizedNumbers(NamedTuple):
    rate: Hyper
    keep: Hyper
    decay: Hyper


@dataclass(frozen=True)
class Normalized(Rule):
    """Step along the mean of past gradients, each divided by its own norm: a rule that looks across coordinates."""

    keep: Hyper = 0.5
    weight_decay: Hyper = 0.0

    elementwise: ClassVar[bool] = False

    def init(self, param: Tensor) -> NormalizedState:
        return NormalizedState(torch.zeros_like(param))

    def coefficients(self, lr: Hyper, step: int) -> NormalizedNumbers:
        return NormalizedNumbers(lr / step**0.5, self.keep, self.weight_decay)

    def apply(self, param: Tensor, grad: Tensor, state: Any, by: Any) -> tuple[Tensor, NormalizedState]:
        grad = grad + by.decay * param
        velocity = by.keep * state.velocity + grad / (grad.norm() + 1e-12)
        return param - by.rate * velocity, NormalizedState(velocity)


class Nothing(NamedTuple):
    """No memory at all."""


@dataclass(frozen=True)
class Direction(Normalized):
    """Step along the gradient's direction, without memory."""

    def init(self, param: Tensor) -> Nothing:  # noqa: ARG002 - the contract of a rule
        return Nothing()

    def apply(self, param: Tensor, grad: Tensor, state: Any, by: Any) -> tuple[Tensor, Any]:
        return param - by.rate * grad / grad.norm(), state


def layout() -> Layout:
    return Layout.of(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))


def draws(count: int, *shape: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for _ in range(count)]


def alone(rule: Rule, rate: float, start: Tensor, grads: list[Tensor]) -> Tensor:
    """One trial by the bare rule, parameter by parameter, biases without decay. start, grads: [P]."""
    found = layout()
    flat = start.clone()
    plain = type(rule)(**{**vars(rule), "weight_decay": 0.0})
    for name, param in found.views(flat).items():
        chosen = rule if name in found.decaying else plain
        value, state = param.clone(), chosen.init(param)
        for step, grad in enumerate(grads, start=1):
            value, state = chosen.update(value, found.views(grad)[name], state, lr=rate, step=step)
        param.copy_(value)
    return flat


RULE_SETS = {
    "normalized": [Normalized(keep=0.1 * k, weight_decay=0.3 * k) for k in range(K)],
    "direction": [Direction() for _ in range(K)],
    "sgd": [SGD(momentum=0.1 * k, weight_decay=0.3 * k, dampening=0.2) for k in range(1, K + 1)],
    "nesterov": [SGD(momentum=0.1 * k, weight_decay=0.3, nesterov=True) for k in range(1, K + 1)],
    "plain sgd": [SGD(weight_decay=0.3 * k) for k in range(K)],
    "adam": [Adam(beta1=0.5 + 0.1 * k, weight_decay=0.1) for k in range(K)],
    "adamw amsgrad": [AdamW(weight_decay=0.3 * k, amsgrad=True) for k in range(K)],
    "adagrad": [Adagrad(lr_decay=0.1 * k, initial_accumulator_value=0.1 * k, weight_decay=0.1 * k) for k in range(K)],
    "rmsprop": [RMSprop(alpha=0.5 + 0.1 * k, momentum=0.2 + 0.1 * k, centered=True) for k in range(K)],
    "nadam": [NAdam(beta1=0.5 + 0.1 * k, momentum_decay=0.01 * k, weight_decay=0.1) for k in range(K)],
    "radam": [RAdam(beta2=0.6 + 0.1 * k, weight_decay=0.1 * k, decoupled_weight_decay=True) for k in range(K)],
}


def fused(rules: list[Rule], layout: Layout, flat: Tensor) -> Update:
    """By torch's kernels."""
    kernel = kernel_of(rules[0], flat.dtype, flat.device)
    assert kernel is not None
    return FusedUpdate(kernel, rules, layout, flat)


def one_pass(rules: list[Rule], layout: Layout, flat: Tensor) -> Update:
    """Compiled."""
    stacked = stack_rules(rules)
    code = compiled(stacked, flat.dtype)
    assert code is not None
    return CompiledUpdate(code, stacked, layout, flat)


MAKERS: list[tuple[str, Callable[..., Update]]] = [
    *((kind, update_for) for kind in RULE_SETS),
    *((kind, one_pass) for kind, rules in RULE_SETS.items() if rules[0].elementwise),
    *((kind, fused) for kind, rules in RULE_SETS.items() if type(rules[0]) in KERNELS),
]
every_way = pytest.mark.parametrize(("kind", "make"), MAKERS, ids=[f"{kind}, {make.__name__}" for kind, make in MAKERS])


def test_every_kernel_is_examined() -> None:
    assert {type(RULE_SETS[kind][0]) for kind, make in MAKERS if make is fused} == set(KERNELS)
    assert KERNELS, "this torch has no fused kernel: look for their new names"


@every_way
def test_every_trial_moves_as_the_bare_rule_moves_it_alone(kind: str, make: Callable[..., Update]) -> None:
    rules, rates, found = RULE_SETS[kind], [0.1, 0.2, 0.3, 0.4], layout()
    start, *grads = draws(6, K, found.size)
    flat = start.clone()
    update = make(rules, found, flat)
    for step, grad in enumerate(grads, start=1):
        before = flat.clone()
        slopes = grad.clone()
        change = update.step(flat, slopes, rates, step)
        assert change is slopes or isinstance(update, MappedUpdate)  # no memory of its own
        torch.testing.assert_close(change, flat - before, rtol=0, atol=0)
    for k in range(K):
        wanted = alone(rules[k], rates[k], start[k], [grad[k] for grad in grads])
        torch.testing.assert_close(flat[k], wanted, rtol=1e-12, atol=1e-12)  # float64, the same operations


@every_way
def test_trials_that_are_kept_go_on_with_their_own_numbers_and_memory(kind: str, make: Callable[..., Update]) -> None:
    rules, rates, found, kept = RULE_SETS[kind], [0.1, 0.2, 0.3, 0.4], layout(), [3, 1]
    start, *grads = draws(6, K, found.size)
    flat = start.clone()
    update = make(rules, found, flat)
    for step, grad in enumerate(grads[:3], start=1):
        update.step(flat, grad.clone(), rates, step)
    update.keep(torch.tensor(kept))
    flat = flat[kept]
    for step, grad in enumerate(grads[3:], start=4):
        update.step(flat, grad[kept], [rates[k] for k in kept], step)
    for position, k in enumerate(kept):
        wanted = alone(rules[k], rates[k], start[k], [grad[k] for grad in grads])
        torch.testing.assert_close(flat[position], wanted, rtol=1e-12, atol=1e-12)


def test_only_a_rule_that_looks_across_is_mapped() -> None:
    found = layout()
    flat = torch.zeros(K, found.size)
    assert isinstance(update_for([Normalized()] * K, found, flat), MappedUpdate)
    assert isinstance(update_for([SGD()] * K, found, flat), PackedUpdate)


def test_large_trials_are_compiled_and_without_a_compiler_take_torchs_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Layout.of(nn.Linear(64, 64))
    flat = torch.zeros(2, found.size)
    assert isinstance(update_for([AdamW(), AdamW(beta1=0.5)], found, flat), CompiledUpdate)
    assert isinstance(update_for([SGD()] * 2, Layout.of(nn.Linear(64, 64).half()), flat.half()), PackedUpdate)
    monkeypatch.setattr("ravine.engines.updates.compiled", lambda _rule, _dtype: None)
    assert isinstance(update_for([AdamW(), AdamW(beta1=0.5)], found, flat), FusedUpdate)
    assert isinstance(update_for([RMSprop()] * 2, found, flat), PackedUpdate)


@pytest.mark.parametrize("make", [one_pass, fused])
def test_nan_in_one_trial_leaves_the_bits_of_the_others(make: Callable[..., Update]) -> None:
    rules, found = [AdamW(weight_decay=0.1 * k) for k in range(K)], layout()
    start, grad = draws(2, K, found.size)
    sick, well = start.clone(), start.clone()
    sick[1] = torch.nan
    for flat in (sick, well):
        make(rules, found, flat).step(flat, grad.clone(), [0.1] * K, 1)
    others = [0, 2, 3]
    assert torch.equal(sick[others], well[others])
    assert sick[1].isnan().all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", RULE_SETS)
def test_numbers_in_float64_leave_the_dtype_of_the_parameters(kind: str, dtype: torch.dtype) -> None:
    found = layout()
    flat, grad = (each.to(dtype) for each in draws(2, K, found.size))
    update = update_for(RULE_SETS[kind], found, flat)
    assert update.step(flat, grad, [0.1, 0.2, 0.3, 0.4], 1).dtype == dtype

"""Stepping many tensors at once: whatever their layout, dtype and company, they end as the rule puts them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim, rules
from ravine.engines import in_place
from ravine.rules import RULES

LARGE = 64 * 64 + 8


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def by_hand(rule: Any, start: Tensor, grads: list[Tensor]) -> Tensor:
    """The bare rule over contiguous copies."""
    param = start.detach().clone(memory_format=torch.contiguous_format)
    state = rule.init(param)
    for step, grad in enumerate(grads, start=1):
        param, state = rule.update(param, grad.clone(memory_format=torch.contiguous_format), state, lr=0.1, step=step)
    return param


def transposed(tensor: Tensor) -> Tensor:
    return tensor.t().contiguous().t()


def channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last)


LAYOUTS: dict[str, tuple[tuple[int, ...], Any, Any]] = {
    "contiguous": ((LARGE,), lambda t: t, lambda t: t),
    "channels last": ((16, 8, 8, 8), channels_last, channels_last),
    "channels last, contiguous gradient": ((16, 8, 8, 8), channels_last, lambda t: t),
    "contiguous, channels-last gradient": ((16, 8, 8, 8), lambda t: t, channels_last),
    "transposed": ((64, 80), transposed, transposed),
    "expanded gradient": ((64, 80), lambda t: t, lambda t: t[:1].expand(64, 80)),
    "a column of a larger tensor": ((LARGE,), lambda t: torch.stack([t, t], 1)[:, 0], lambda t: t),
    "scalar": ((), lambda t: t, lambda t: t),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", [rules.Adam(), rules.RMSprop(momentum=0.5)], ids=repr)
def test_any_layout_of_memory_steps_to_the_same_numbers(layout: str, rule: Any) -> None:
    shape, of_param, of_grad = LAYOUTS[layout]
    company = nn.Parameter(draw(LARGE, seed=9))  # so that a small tensor meets the compiled way as well
    param = nn.Parameter(of_param(draw(*shape)))
    strides = param.stride()
    optimizer = optim.RuleOptimizer([company, param], rule, lr=0.1)
    grads = [of_grad(draw(*shape, seed=s)) for s in (1, 2, 3)]
    for grad in grads:
        param.grad, company.grad = grad, torch.ones_like(company)
        optimizer.step()
    torch.testing.assert_close(param.detach(), by_hand(rule, of_param(draw(*shape)), grads), rtol=1e-12, atol=1e-12)
    assert param.stride() == strides


def test_parameters_of_many_kinds_step_in_one_optimizer() -> None:
    kinds = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64]
    together = [nn.Parameter(torch.randn(LARGE, dtype=kind)) for kind in kinds]
    alone = [nn.Parameter(param.detach().clone()) for param in together]
    optimizer, singles = optim.AdamW(together, lr=0.1), [optim.AdamW([param], lr=0.1) for param in alone]
    for step in range(3):
        for one, other in zip(together, alone, strict=True):
            one.grad = torch.randn(LARGE, generator=torch.Generator().manual_seed(step), dtype=one.dtype)
            other.grad = one.grad.clone()
        optimizer.step()
        for single in singles:
            single.step()
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


# Float64: the same operations in another order of rounding.
@pytest.mark.parametrize("name", [name for name, make in RULES.items() if make.elementwise])
@pytest.mark.parametrize("way", ["compiled", "fused", "as it is"])
def test_every_way_walks_the_same_path(name: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if way != "compiled":
        monkeypatch.setattr(in_place, "compiled", lambda _rule, _dtype: None)
    if way == "as it is":
        monkeypatch.setattr(in_place, "kernel_of", lambda _rule, _dtype, _device: None)
    params = [nn.Parameter(draw(LARGE)), nn.Parameter(draw(3, 5, seed=1))]
    optimizer = optim.RuleOptimizer(params, RULES[name](), lr=0.1, maximize=True)
    grads = [[draw(*param.shape, seed=10 * step + i) for i, param in enumerate(params)] for step in range(5)]
    for both in grads:
        for param, grad in zip(params, both, strict=True):
            param.grad = grad
        optimizer.step()
    for i, start in enumerate([draw(LARGE), draw(3, 5, seed=1)]):
        wanted = by_hand(RULES[name](), start, [-both[i] for both in grads])
        torch.testing.assert_close(params[i].detach(), wanted, rtol=1e-12, atol=1e-12)


def test_a_large_parameter_is_stepped_by_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_place, "_advance_one", None)
    param = nn.Parameter(torch.ones(LARGE))
    param.grad = torch.ones(LARGE)
    optim.Adadelta([param]).step()
    assert (param < 1).all()

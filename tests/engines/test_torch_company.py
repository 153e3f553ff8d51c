"""The torch faces among the things that people put beside an optimizer: scalers, clipping, hooks, compiled models."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.errors import SettingError
from ravine.randomness import seeded

TWINS = [name for name in optim.__all__ if hasattr(torch.optim, name) and name not in ("LBFGS", "Muon")]
every_twin = pytest.mark.parametrize("name", TWINS)


def network() -> nn.Module:
    with seeded(0, "init"):
        return nn.Sequential(nn.Linear(6, 80), nn.Tanh(), nn.Linear(80, 80), nn.Tanh(), nn.Linear(80, 1))


def batch(step: int) -> tuple[Tensor, Tensor]:
    inputs = torch.randn(32, 6, generator=torch.Generator().manual_seed(step))
    return inputs, inputs.prod(dim=1, keepdim=True)


def loss_of(model: nn.Module, step: int) -> Tensor:
    inputs, targets = batch(step)
    return nn.functional.mse_loss(model(inputs), targets)


def assert_same(left: nn.Module, right: nn.Module) -> None:
    # Float32: two orders of the same operations over a dozen steps.
    for a, b in zip(left.parameters(), right.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def both(name: str) -> list[tuple[nn.Module, torch.optim.Optimizer]]:
    """The same network under our class and under torch's."""
    return [(model := network(), getattr(kind, name)(model.parameters(), lr=0.01)) for kind in (optim, torch.optim)]


@every_twin
def test_a_grad_scaler_unscales_and_skips_the_step_of_an_overflow_as_with_torch(name: str) -> None:
    ends = []
    for model, optimizer in both(name):
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
        for step in range(8):
            optimizer.zero_grad()
            scaler.scale(loss_of(model, step)).backward()
            if step == 4:
                next(model.parameters()).grad.fill_(float("inf"))
            before = [p.detach().clone() for p in model.parameters()]
            scaler.step(optimizer)
            scaler.update()
            moved = any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
            assert moved == (step != 4)
        ends.append((model, scaler.get_scale()))
    assert_same(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


@every_twin
def test_clipped_gradients_move_it_as_they_move_torch(name: str) -> None:
    pairs = both(name)
    for model, optimizer in pairs:
        for step in range(8):
            optimizer.zero_grad()
            loss_of(model, step).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
    assert_same(pairs[0][0], pairs[1][0])


@every_twin
def test_a_compiled_model_trains_as_the_plain_one(name: str) -> None:
    ends = []
    for compiling in (False, True):
        model = network()
        optimizer = getattr(optim, name)(model.parameters(), lr=0.01)
        forward = torch.compile(model, backend="eager") if compiling else model
        for step in range(4):
            optimizer.zero_grad()
            loss_of(forward, step).backward()
            optimizer.step()
        ends.append(model)
    assert_same(*ends)


def test_hooks_run_before_and_after_a_step_and_may_change_its_arguments() -> None:
    param = nn.Parameter(torch.ones(2))
    optimizer = optim.AdamW([param])
    seen: list[str] = []
    handles = [
        optimizer.register_step_pre_hook(lambda *_: seen.append("before")),
        optimizer.register_step_post_hook(lambda *_: seen.append("after")),
        optimizer.register_state_dict_post_hook(lambda _, saved: seen.append("saved") or saved),
        optimizer.register_load_state_dict_pre_hook(lambda _, saved: seen.append("loaded") or saved),
    ]
    param.grad = torch.ones(2)
    optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["before", "after", "saved", "loaded"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert seen[4:] == []


def test_a_step_that_follows_the_gradient_as_it_comes_frees_it() -> None:
    """The pattern of an optimizer per parameter, stepped in a backward hook."""
    model = network()
    optimizers = {p: optim.SGD([p], lr=0.1) for p in model.parameters()}

    def follow(param: Tensor) -> None:
        optimizers[param].step()
        optimizers[param].zero_grad()

    for param in model.parameters():
        param.register_post_accumulate_grad_hook(follow)
    first = loss_of(model, 0)
    first.backward()
    assert loss_of(model, 0) < first
    assert all(param.grad is None for param in model.parameters())


@pytest.mark.parametrize("name", [name for name in optim.__all__ if name[0].isupper() and name != "RuleOptimizer"])
def test_zero_grad_forgets_or_zeroes(name: str) -> None:
    param = nn.Parameter(torch.ones(2, 2))
    param.grad = torch.ones(2, 2)
    optimizer = getattr(optim, name)([param])
    optimizer.zero_grad(set_to_none=False)
    assert param.grad.eq(0).all()
    optimizer.zero_grad()
    assert param.grad is None


@every_twin
def test_a_sparse_gradient_is_refused_before_anything_moves(name: str) -> None:
    table = nn.Embedding(5, 2, sparse=True)
    other = nn.Parameter(torch.ones(2))
    optimizer = getattr(optim, name)([other, table.weight])
    (table(torch.tensor([1, 3])).sum() + other.sum()).backward()
    before = table.weight.detach().clone()
    with pytest.raises(SettingError, match=r"sparse.*write nn\.Embedding\(\.\.\., sparse=False\)"):
        optimizer.step()
    assert torch.equal(table.weight, before)
    assert torch.equal(other, torch.ones(2))


@every_twin
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_trains(name: str, dtype: torch.dtype) -> None:
    """With an eps that float16 can hold, as torch's own classes need it."""
    settings: dict[str, Any] = {} if name in ("SGD",) else {"eps": 1e-4}
    model = network().to(dtype)
    optimizer = getattr(optim, name)(model.parameters(), lr=0.01, **settings)
    losses = []
    for step in range(60):
        optimizer.zero_grad()
        inputs, targets = batch(step % 2)
        loss = nn.functional.mse_loss(model(inputs.to(dtype)), targets.to(dtype))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(param.dtype == dtype and param.isfinite().all() for param in model.parameters())
    assert losses[-1] + losses[-2] < losses[0] + losses[1]

"""A trial's step in C against autograd: the same numbers to rounding, and the same bits whatever stands beside it.

Products are summed in another order and e^x is a polynomial of its own: 1e-5 of the largest gradient after one step.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines.compiled_step import FUNCTIONS, HEAD, CompiledStep
from ravine.engines.compiler import load
from ravine.engines.ownership import Own
from ravine.engines.printer import CannotPrintError
from ravine.engines.product import PRODUCT
from ravine.engines.stack import Stack
from ravine.engines.stacked import stacked_losses
from ravine.engines.threads import threads
from ravine.engines.updates import CompiledUpdate, update_for
from ravine.randomness import seeded
from ravine.regularization import Dropout
from ravine.rules import Adam, AdamW

K, B, SHARED = 3, 8, Own(False, False)
RATES = [1e-3, 2e-3, 3e-3]

Make = Callable[[], nn.Module]


def mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 20), nn.ReLU(), nn.Linear(20, 33), nn.Tanh(), nn.Linear(33, 4))


def dropping() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 17), nn.Sigmoid(), Dropout(0.4, seed=5), nn.Linear(17, 4))


def frozen() -> nn.Module:
    model = mlp()
    model[1].weight.requires_grad_(False)
    return model


class Pointwise(nn.Module):
    """Every operation on single numbers that is said in C and has a gradient, residual connections, a sum and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(36, 12), nn.Linear(12, 12, bias=False)
        self.out, self.scale = nn.Linear(12, 4), nn.Parameter(torch.ones(12))
        self.register_buffer("shift", torch.linspace(-1, 1, 12))

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x.flatten(1))
        b = a + self.second(F.silu(a)) * self.scale - self.shift
        c = torch.where(b > 0.3, b.exp().clamp(max=4), b.abs().sqrt().maximum(a)).minimum(b.square() + 1)
        c = c / (1 + b**2) + (1 + a.square()).log() * (a.square() + 1).rsqrt() - a.clamp(-0.5, 0.5)
        c = c - c.mean(1, keepdim=True) + 0.1 * c.sum(0) + (c.square() + 1).reciprocal() + torch.erf(a)
        return self.out(c + torch.arange(12))


def unused_bias() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.ReLU(), nn.Linear(4, 4))


MODELS: list[Make] = [mlp, dropping, frozen, Pointwise, unused_bias]


def stack_of(make: Make, trials: range | list[int] = range(K)) -> Stack:
    modules = []
    for k in trials:
        with seeded(k, "test"):
            modules.append(make())
    return Stack(modules)


def batch(own: Own = SHARED) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    x, y = torch.randn(K, B, 1, 6, 6, generator=draw), torch.randint(0, 4, (K, B), generator=draw)
    return x if own.x else x[0], y if own.y else y[0]


def given(stack: Stack) -> list[Tensor]:
    return [*stack.leaves.values(), *stack.frozen.values(), *stack.buffers.values()]


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted.detach(), rtol=1e-5, atol=1e-5 * float(wanted.abs().max()))


def soft(outputs: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(outputs, F.softmax(torch.stack([y.float()] * 4, dim=1), 1))


def squares(outputs: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(outputs.mean(1), y.float())


@pytest.mark.parametrize("make", MODELS, ids=lambda make: make.__name__)
def test_losses_and_gradients_are_those_of_autograd(make: Make) -> None:
    stack = stack_of(make)
    stack.set_step(4)
    found = torch.full_like(stack.grads, torch.nan)
    losses = CompiledStep(stack, F.cross_entropy, *batch(), own=SHARED)(given(stack), *batch(), found)
    close(losses, stacked_losses(stack, F.cross_entropy, *batch(), own=SHARED))
    close(found, stack.grads)


@pytest.mark.parametrize("own", [Own(True, True), Own(False, True)], ids=str)
def test_trials_with_batches_of_their_own_meet_them(own: Own) -> None:
    stack = stack_of(mlp)
    found = torch.empty_like(stack.grads)
    losses = CompiledStep(stack, F.cross_entropy, *batch(own), own=own)(given(stack), *batch(own), found)
    close(losses, stacked_losses(stack, F.cross_entropy, *batch(own), own=own))
    close(found, stack.grads)


@pytest.mark.parametrize("loss", [soft, squares], ids=lambda loss: loss.__name__)
def test_other_losses_are_those_of_autograd(loss: Callable[[Tensor, Tensor], Tensor]) -> None:
    if loss is soft:
        targets = torch.rand(B, 4, generator=torch.Generator().manual_seed(1))
        loss, x, y = F.cross_entropy, batch()[0], targets / targets.sum(1, keepdim=True)
    else:
        x, y = batch()[0], batch()[1].float()
    stack = stack_of(mlp)
    found = torch.empty_like(stack.grads)
    losses = CompiledStep(stack, loss, x, y, own=SHARED)(given(stack), x, y, found)
    close(losses, stacked_losses(stack, loss, x, y, own=SHARED))
    close(found, stack.grads)


def test_a_step_at_once_is_gradients_and_update_to_the_bit() -> None:
    rules = [AdamW(weight_decay=0.1 * k) for k in range(K)]
    one, other = stack_of(dropping), stack_of(dropping)
    step = CompiledStep(one, F.cross_entropy, *batch(), own=SHARED)
    updates = [update_for(rules, stack.layout, stack.flat) for stack in (one, other)]
    assert all(isinstance(update, CompiledUpdate) for update in updates)
    for t in range(1, 4):
        losses, norms = step.moved(given(one), *batch(), updates[0].move(one.flat, one.grads, RATES, t))
        before = other.flat.clone()
        assert torch.equal(losses, step(given(other), *batch(), other.grads))
        slopes = other.grads.clone()
        change = updates[1].step(other.flat, other.grads, RATES, t)
        assert torch.equal(one.flat, other.flat)
        for norm, wanted in zip(norms, (before, slopes, change), strict=True):
            torch.testing.assert_close(norm, wanted.norm(dim=1), rtol=1e-5, atol=0)


@pytest.mark.parametrize("count", [1, 2])
def test_the_bits_of_a_trial_depend_on_nothing_beside_it(count: int) -> None:
    found = {}
    for trials in (range(7), [5], [5, 2]):
        stack = stack_of(dropping, trials)
        stack.set_step(9)
        step = CompiledStep(stack, F.cross_entropy, *batch(), own=SHARED)
        update = update_for([Adam()] * len(stack), stack.layout, stack.flat)
        with threads(count):
            for t in range(1, 6):
                step.moved(given(stack), *batch(), update.move(stack.flat, stack.grads, [1e-2] * len(stack), t))
        found[len(stack)] = stack.flat[list(trials).index(5)]
    assert torch.equal(found[7], found[1])
    assert torch.equal(found[7], found[2])
    with threads(1):
        again = stack_of(dropping, [5])
        assert not torch.equal(again.flat[0], found[1])


def test_a_class_without_an_output_is_refused_before_anything_moves() -> None:
    stack = stack_of(mlp)
    x, y = batch()
    step = CompiledStep(stack, F.cross_entropy, x, y, own=SHARED)
    update = update_for([Adam()] * K, stack.layout, stack.flat)
    before, y = stack.flat.clone(), y.clone()
    y[2], y[3] = 4, -1
    with pytest.raises(IndexError, match="2 targets of the batch are classes"):
        step.moved(given(stack), x, y, update.move(stack.flat, stack.grads, RATES, 1))
    assert torch.equal(stack.flat, before)
    y[2] = y[3] = -100  # what cross_entropy leaves out
    found = step(given(stack), x, y, stack.grads)
    close(found, stacked_losses(stack, F.cross_entropy, x, y, own=SHARED))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(32, 4)),
            "aten.convolution.* is not said in C",
        ),
        (lambda: mlp().double(), "a step in torch.float64 on cpu is not said in C"),
    ],
)
def test_what_is_not_said_in_c_is_named(make: Make, said: str) -> None:
    x, y = batch()
    stack = stack_of(make)
    with pytest.raises(CannotPrintError, match=said):
        CompiledStep(stack, F.cross_entropy, x.to(stack.flat.dtype), y, own=SHARED)


def test_the_exponential_is_that_of_the_library_to_rounding() -> None:
    x = torch.cat([torch.linspace(-90, 90, 10_001), torch.tensor([0.0, torch.inf, -torch.inf, torch.nan])])
    found = torch.empty_like(x)
    entry = (
        "void each(int64_t n, const float *a, float *to) { for (int64_t i = 0; i < n; i++) to[i] = exponential(a[i]); }"
    )
    places = [ctypes.c_void_p(t.data_ptr()) for t in (x, found)]
    load(HEAD + PRODUCT + FUNCTIONS + entry, "-ffp-contract=fast").each(ctypes.c_int64(len(x)), *places)
    inside = (x > -87) & (x < 88.3)
    torch.testing.assert_close(found[inside].double(), x[inside].double().exp(), rtol=3e-7, atol=0)
    assert (found[x < -87] == 0).all()
    assert found[x > 88.4].isinf().all()
    assert found[-1].isnan()

"""The plain engine: each trial's module in turn, for models that vmap refuses, for K = 1 and where it is faster.

A model that draws from torch's global generator itself is found out on its first batch (the generator has
moved) and from then on reseeded at every step, so that its draws are a function of (seed, step) too.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ravine.engines.loss import Loss
from ravine.engines.stack import Stack
from ravine.randomness import seeded

__all__ = ["draws_itself", "single_losses", "single_outputs"]


def single_losses(
    stack: Stack, loss: Loss, x: Tensor, y: Tensor, *, own: bool, reseed: Sequence[tuple[int, int]] | None
) -> Tensor:
    """Losses of one batch, [K]; gradients gather in `stack.grads`.

    reseed: (seed, step) of each trial when the model draws from the global generator, else None.
    """
    losses = []
    for k, module in enumerate(stack.modules):
        if not module.training:
            module.train()
        with _draws(reseed[k] if reseed else None):
            value = loss(module(x[k] if own else x), y[k] if own else y)
        value.backward()
        losses.append(value.detach())
    return torch.stack(losses)


@torch.no_grad()
def single_outputs(stack: Stack, x: Tensor) -> Tensor:
    """Outputs of every trial in evaluation mode for shared inputs x, [N, ...] -> [K, N, ...]."""
    for module in stack.modules:
        if module.training:
            module.eval()
    return torch.stack([module(x) for module in stack.modules])


@torch.no_grad()
def draws_itself(module: nn.Module, x: Tensor) -> bool:
    """Does a training forward move torch's global generator? Leaves generator and buffers as they were."""
    saved = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with seeded(0, "probe"):
        start = torch.get_rng_state()
        module.train()(x)
        moved = not torch.equal(start, torch.get_rng_state())
    for name, buffer in module.named_buffers():
        buffer.copy_(saved[name])
    return moved


def _draws(reseed: tuple[int, int] | None) -> AbstractContextManager[None]:
    return nullcontext() if reseed is None else seeded(reseed[0], "step", reseed[1])

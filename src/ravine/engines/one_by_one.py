"""The plain engine: each trial's module in turn, for models that vmap refuses, for K = 1 and where it is faster.

What a model does by itself is found out on its first batch. One that draws from torch's global generator is
reseeded at every step, so that its draws are a function of (seed, step) too. One that assigns a buffer anew
instead of changing it in place has the new value copied into the stack's memory.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from ravine.engines.loss import Loss
from ravine.engines.memory import saved_bytes
from ravine.engines.ownership import Own
from ravine.engines.stack import Stack
from ravine.randomness import seeded

__all__ = ["Habits", "habits_of", "single_loss", "single_losses", "single_outputs"]


class Habits(NamedTuple):
    """What a training forward does beside computing."""

    draws: bool = False  # moves torch's global generator
    rebinds: bool = False  # puts another tensor in the place of a buffer
    kept: int = 0  # bytes that autograd keeps of it for the backward


def single_losses(
    stack: Stack, loss: Loss, x: Tensor, y: Tensor, *, own: Own, habits: Habits, draws: Sequence[tuple[int, int]]
) -> Tensor:
    """Losses of one batch, [K]; gradients land in `stack.grads`.

    draws: (seed, step) of each trial, for a model that draws from the global generator.
    """
    each = range(len(stack))
    return torch.stack([single_loss(stack, loss, x, y, k, own=own, habits=habits, draw=draws[k]) for k in each])


def single_loss(
    stack: Stack, loss: Loss, x: Tensor, y: Tensor, k: int, *, own: Own, habits: Habits, draw: tuple[int, int]
) -> Tensor:
    """Loss of trial k, a scalar; its gradients land in row k of `stack.grads`."""
    module = stack.modules[k]
    if not module.training:
        module.train()
    with seeded(draw[0], "step", draw[1]) if habits.draws else nullcontext():
        value = loss(module(x[k] if own.x else x), y[k] if own.y else y)
    value.backward()  # not autograd.grad: hooks and checkpointing of a user's model want it
    stack.gather([param.grad for param in stack.params[k]], k)
    for param in stack.params[k]:
        param.grad = None  # the next backward then hands its own tensor over, and nothing is summed
    if habits.rebinds:
        stack.collect(k)
    return value.detach()


@torch.no_grad()
def single_outputs(stack: Stack, x: Tensor) -> Tensor:
    """Outputs of every trial in evaluation mode for shared inputs x, [N, ...] -> [K, N, ...]."""
    for module in stack.modules:
        if module.training:
            module.eval()
    return torch.stack([module(x) for module in stack.modules])


@torch.no_grad()
def habits_of(stack: Stack, x: Tensor) -> Habits:
    """What the first trial's module does on a batch x, [B, ...]. Generators and buffers are left as they were."""
    module = stack.modules[0]
    saved = {name: (buffer, buffer.clone()) for name, buffer in module.named_buffers()}
    try:
        with seeded(0, "probe"):
            start = _generator_state(x.device)
            with torch.enable_grad():
                kept = saved_bytes(module, x)
            draws = not torch.equal(start, _generator_state(x.device))
        rebinds = any(buffer is not saved[name][0] for name, buffer in module.named_buffers() if name in saved)
    finally:
        for buffer, value in saved.values():
            buffer.copy_(value)
        stack.bind()
    return Habits(draws, rebinds, kept)


def _generator_state(device: torch.device) -> Tensor:
    """The state of every global generator that a forward on this device can draw from, [bytes]."""
    state = torch.get_rng_state()
    return torch.cat([state, torch.cuda.get_rng_state(device)]) if device.type == "cuda" else state

"""The stacked engine: one vmapped forward and backward for all trials.

Letters in shapes: K trials, B batch, N examples.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from ravine.engines.loss import Loss
from ravine.engines.ownership import Own
from ravine.engines.stack import Stack

__all__ = ["hush_slow_operations", "losses_and_slopes", "stacked_losses", "stacked_outputs"]


@functools.cache
def hush_slow_operations() -> None:
    """Stop vmap from warning, for the rest of the process, that an operation has no fast form: it is measured here."""
    switch = getattr(torch._C._functorch, "_set_vmap_fallback_warning_enabled", None)
    if switch is not None:
        switch(False)


def stacked_losses(stack: Stack, loss: Loss, x: Tensor, y: Tensor, *, own: Own) -> Tensor:
    """Losses of one batch, [K]; gradients land in `stack.grads`. One trial's NaN stays its own."""
    values = {**stack.leaves, **stack.frozen, **stack.buffers}
    losses, slopes = losses_and_slopes(stack, loss, values, x, y, own=own)
    stack.gather(slopes)
    return losses


def losses_and_slopes(
    stack: Stack, loss: Loss, values: dict[str, Tensor], x: Tensor, y: Tensor, *, own: Own
) -> tuple[Tensor, Sequence[Tensor | None]]:
    """Losses [K] and gradients by the leaves, in their order, where the stacked tensors are `values`."""
    base = stack.modules[0]
    _set_mode(stack, training=True)
    leaves = [values[name].requires_grad_() for name in stack.leaves]

    def of_one(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return loss(functional_call(base, values, (x,)), y)

    data = [0 if each else None for each in own]
    losses: Tensor = vmap(of_one, in_dims=(0, *data), randomness="error")(values, x, y)
    return losses.detach(), torch.autograd.grad(losses.sum(), leaves, allow_unused=True)


@torch.no_grad()
def stacked_outputs(stack: Stack, x: Tensor) -> Tensor:
    """Outputs of every trial in evaluation mode for shared inputs x, [N, ...] -> [K, N, ...]."""
    base = stack.modules[0]
    _set_mode(stack, training=False)
    values = {**stack.leaves, **stack.frozen, **stack.buffers}
    return vmap(lambda one: functional_call(base, one, (x,)), randomness="error")(values)  # type: ignore[no-any-return]


def _set_mode(stack: Stack, *, training: bool) -> None:
    if stack.modules[0].training != training:
        stack.modules[0].train(training)

"""The steps of one stack in C: written when the first batch comes, compared with autograd's, and given up in doubt.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor
from torch.func import functional_call

from ravine.engines.compiled_step import CompiledStep, Move, Norms
from ravine.engines.loss import Loss
from ravine.engines.ownership import Own
from ravine.engines.provisional import CannotRecordError, Provisional, alike, only_operations
from ravine.engines.stack import Stack
from ravine.errors import first_line

__all__ = ["CompiledSteps"]


class CompiledSteps(Provisional):
    """What `CompiledStep` computes, where it can be had."""

    def __init__(self, stack: Stack, loss: Loss) -> None:
        super().__init__()
        self.stack, self.loss = stack, loss
        self._kind: object = None
        self._step: CompiledStep | None = None

    def serving(self, stack: Stack) -> CompiledSteps:
        """The same for a stack of other trials of this structure: what is written in C is one trial's step."""
        other = copy.copy(self)
        other.stack = stack
        return other

    def fits(self, x: Tensor, y: Tensor, own: Own) -> bool:
        """Whether there is C for this batch: for the first that comes, and all of its shape. `refusal` says why not."""
        kind = (x.shape[own.x :], x.dtype, y.shape[own.y :], y.dtype, own)  # of one trial
        if self._kind is None:
            self._kind = kind
            if not self.refusal:
                self._write(x, y, own)
        return self._step is not None and kind == self._kind

    def agrees(self, x: Tensor, y: Tensor, own: Own) -> bool:
        """Whether there is C for this batch; at the first steps, whether it comes to what autograd comes to."""
        if not self.fits(x, y, own):
            return False
        if self._doubtful:
            self._doubtful -= 1
            self._compare(x, y, own)
        return self._step is not None

    def _compare(self, x: Tensor, y: Tensor, own: Own) -> None:
        """Take the first trial's step in both ways, on copies; give C up when they differ."""
        assert self._step is not None
        copies = [tensor.detach()[:1].clone() for tensor in self._tensors()]
        slopes = torch.empty_like(self.stack.flat[:1])
        loss = self._step(copies, x[:1] if own.x else x, y[:1] if own.y else y, slopes)
        wanted = self._by_autograd(x, y, 0, own)
        views = self.stack.layout.views(slopes[0]).values()
        pairs = zip([loss[0], *views], [wanted[0], *wanted[1]], strict=True)
        if not all(alike(found, slope) for found, slope in pairs if slope is not None):
            name = type(self.stack.modules[0]).__name__
            self._give_up(CannotRecordError(f"{name} does not do the same at every step"))

    def _write(self, x: Tensor, y: Tensor, own: Own) -> None:
        module = self.stack.modules[0]
        try:
            with only_operations(module):
                self._step = CompiledStep(self.stack, self.loss, x, y, own=own)
        except Exception as refusal:  # a forward may do anything; the other engines are there for it
            self._give_up(refusal)

    def _give_up(self, why: Exception) -> None:
        self._step, self.refusal = None, first_line(why)

    def losses(self, x: Tensor, y: Tensor) -> Tensor:
        """Losses of a batch on which C agrees, [K]; gradients land in `stack.grads`."""
        assert self._step is not None
        return self._step(self._tensors(), x, y, self.stack.grads)

    def moved(self, x: Tensor, y: Tensor, move: Move) -> tuple[Tensor, Norms]:
        """The same, and every trial is moved by its rule at once: losses, [K], and norms; gradients are not kept."""
        assert self._step is not None
        return self._step.moved(self._tensors(), x, y, move)

    def _tensors(self) -> list[Tensor]:
        return [*self.stack.leaves.values(), *self.stack.frozen.values(), *self.stack.buffers.values()]

    def _by_autograd(self, x: Tensor, y: Tensor, k: int, own: Own) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """Loss and gradients of trial k on copies of what its forward may change."""
        module = self.stack.modules[0]
        leaves = {name: leaf.detach()[k].requires_grad_() for name, leaf in self.stack.leaves.items()}
        others = {name: t[k].clone() for name, t in [*self.stack.frozen.items(), *self.stack.buffers.items()]}
        module.train()
        outputs = functional_call(module, {**leaves, **others}, (x[k] if own.x else x,))
        loss = self.loss(outputs, y[k] if own.y else y)
        return loss, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)

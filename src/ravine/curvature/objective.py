"""The loss of a network over a whole data set, as a function of one packed vector of its parameters.

The network is copied and put in evaluation mode: dropout is off and batch norm uses its running statistics, so that
the loss is one function of the parameters and the caller's model is not touched. Its value, gradient and curvature
are those of the mean over all N examples; a last batch that is smaller counts by its size.

Letters in shapes: N examples, B batch, P parameters.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ravine.data import MemorySplit, Split
from ravine.engines import Layout, Loss
from ravine.errors import DataError, ModelError, SettingError, nearest
from ravine.randomness import seeded
from ravine.training import LOSSES
from ravine.types import Task

__all__ = ["Examples", "Objective", "Part"]

Examples = Split | tuple[Tensor, Tensor]
"""A split of a `Data`, or inputs [N, ...] and targets [N, ...]."""


class Part(NamedTuple):
    """One batch, and its share of all examples."""

    x: Tensor  # [B, ...]
    y: Tensor  # [B, ...]
    share: float  # B / N


class Objective:
    """Mean loss over examples, in evaluation mode, of a copy of `model`.

    loss: a task, or a function (outputs, targets) -> mean over the batch. It must be a mean: a sum, or a mean with
        weights of its own, would be put together wrongly.
    batch: examples at a time; it decides memory and speed, not the result.
    Vectors [P] lie in the order of `layout`, in float64; the network computes in its own dtype.
    Raises ModelError for a model without trainable parameters, in half precision or that draws random numbers in
    evaluation mode; DataError for no examples or a loss that is not finite; SettingError for an unknown task.

    >>> half_square = lambda outputs, y: (outputs - y).square().mean() / 2
    >>> model = nn.Linear(1, 1, bias=False)
    >>> _ = nn.init.constant_(model.weight, 3.0)
    >>> of = Objective(model, (torch.ones(4, 1), torch.ones(4, 1)), half_square)
    >>> of.loss(), of.gradient()
    (2.0, tensor([2.], dtype=torch.float64))
    """

    def __init__(self, model: nn.Module, data: Examples, loss: Task | Loss, *, batch: int = 1000) -> None:
        self.split: Split = MemorySplit(*data) if isinstance(data, tuple) else data
        self.loss_function = _loss_function(loss)
        self.batch = batch
        self.name = type(model).__name__
        self.module = copy.deepcopy(model).eval()
        self.layout = Layout.of(self.module)
        named = dict(self.module.named_parameters())
        self.params = [named[name] for name in self.layout.shapes]
        self._check()

    @property
    def size(self) -> int:
        """P, trainable parameters."""
        return self.layout.size

    @property
    def examples(self) -> int:
        """N."""
        return len(self.split)

    @property
    def device(self) -> torch.device:
        return self.params[0].device

    @property
    def eps(self) -> float:
        """The relative rounding of the network's own arithmetic."""
        return torch.finfo(self.layout.dtype).eps

    def parts(self) -> Iterator[Part]:
        """The examples in their own order, in batches."""
        for index in torch.arange(self.examples, device=self.split.y.device).split(self.batch):
            yield Part(*self.rows(index), len(index) / self.examples)

    def rows(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and targets of the rows `index`, [B] int64, on the network's device and in its dtype."""
        x, y = self.split.batch(index)
        return self._fitted(x), self._fitted(y)

    def point(self) -> Tensor:
        """The parameters, [P]."""
        return self.pack(self.params)

    def pack(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """One tensor per parameter, [..., *shape] each, as one vector [..., P] in float64; None is zero."""
        given = next(tensor for tensor in tensors if tensor is not None)
        lead = given.ndim - self.params[[tensor is given for tensor in tensors].index(True)].ndim
        shape = given.shape[:lead]
        flat = [
            torch.zeros((*shape, param.numel()), dtype=torch.float64, device=param.device)
            if tensor is None
            else tensor.detach().reshape(*shape, param.numel()).double()
            for tensor, param in zip(tensors, self.params, strict=True)
        ]
        return torch.cat(flat, dim=-1)

    def unpack(self, vector: Tensor) -> list[Tensor]:
        """A vector [..., P] as one tensor per parameter, in the network's dtype."""
        return list(self.layout.views(vector.to(self.layout.dtype)).values())

    def loss_of(self, x: Tensor, y: Tensor) -> Tensor:
        """Mean loss of one batch, with a graph."""
        value = self.loss_function(self.module(x), y)
        if value.ndim:
            raise ModelError(f"the loss has shape {list(value.shape)}; it must be one number: write reduction='mean'.")
        return value

    @torch.no_grad()
    def loss(self) -> float:
        """Mean loss over all examples."""
        return self._finite(math.fsum(part.share * self.loss_of(part.x, part.y).item() for part in self.parts()))

    @torch.no_grad()
    def loss_at(self, values: Mapping[str, Tensor]) -> float:
        """Mean loss with other parameters, and perhaps other buffers, by name; what is not finite stays so."""
        found = []
        for part in self.parts():
            outputs = functional_call(self.module, dict(values), (part.x,))
            found.append(part.share * self.loss_function(outputs, part.y).item())
        return math.fsum(found)

    def gradient(self) -> Tensor:
        """Gradient of the mean loss, [P]."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        for part in self.parts():
            slopes = torch.autograd.grad(self.loss_of(part.x, part.y), self.params, allow_unused=True)
            total += part.share * self.pack(slopes)
        self._finite(float(total.sum()))
        return total

    def _fitted(self, tensor: Tensor) -> Tensor:
        return tensor.to(self.device, self.layout.dtype if tensor.is_floating_point() else None)

    def _check(self) -> None:
        if not self.examples:
            raise DataError("there are no examples to measure curvature on: give a split with at least one.")
        if self.batch < 1:
            raise SettingError(f"batch is {self.batch}; at least one example at a time is needed: write batch=1000.")
        if self.layout.dtype not in (torch.float32, torch.float64):
            raise ModelError(
                f"{self.name} is in {self.layout.dtype}, whose rounding drowns second derivatives: write model.float()."
            )
        first = next(self.parts())
        with seeded(0, "curvature"):
            before = torch.get_rng_state()
            value = self.loss_of(first.x, first.y)
            draws = not torch.equal(before, torch.get_rng_state())
        if draws:
            raise ModelError(
                f"{self.name} draws random numbers in evaluation mode, so its loss is no function of its parameters: "
                "draw in training mode only."
            )
        if not value.requires_grad:
            raise ModelError(
                f"the loss of {self.name} does not depend on its trainable parameters by any graph: leave out "
                "torch.no_grad and detach() in its forward."
            )
        self._finite(value.item())

    def _finite(self, value: float) -> float:
        if not math.isfinite(value):
            raise DataError(
                f"the loss of {self.name} or its gradient is {value} on these examples, and has no curvature there: look for "
                "NaN in the inputs, or train with a lower learning rate."
            )
        return value


def _loss_function(loss: Task | Loss) -> Loss:
    if callable(loss):
        return loss
    if loss not in LOSSES:
        raise SettingError(f"loss is {loss!r}; {nearest(str(loss), LOSSES)} Or give a function (outputs, y) -> mean.")
    return LOSSES[loss]

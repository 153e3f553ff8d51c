"""A torch closure as an objective: the parameters are one flat vector, and asking for its loss calls the closure.

Letters in shapes: d coordinates of all parameters together (a complex number is two).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError

__all__ = ["ClosureObjective", "FlatParameters", "GraphObjective"]


class FlatParameters:
    """Parameters of any shape, dtype and device, read and written as one row [1, d].

    The row has the widest of their dtypes, float32 at least, and lies on the first one's device.
    """

    def __init__(self, params: Sequence[Tensor]) -> None:
        self.params = list(params)
        self.sizes = [_real(param).numel() for param in self.params]
        self.dtype = torch.float32
        for param in self.params:
            self.dtype = torch.promote_types(self.dtype, _real(param).dtype)

    def read(self) -> Tensor:
        return self.row([param.detach() for param in self.params])

    def write(self, row: Tensor) -> None:
        for param, part in zip(self.params, row[0].split(self.sizes), strict=True):
            here = _real(param.detach())
            here.copy_(part.view(here.shape))

    def gradient(self) -> Tensor:
        return self.row([param.grad for param in self.params])

    def row(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """One tensor like each parameter -> [1, d]; None counts as zero, and a sparse one is made dense."""
        device = self.params[0].device
        parts = [
            torch.zeros(size, dtype=self.dtype, device=device)
            if tensor is None
            else _real(_dense(tensor)).reshape(-1).to(device, self.dtype)
            for tensor, size in zip(tensors, self.sizes, strict=True)
        ]
        return torch.cat(parts)[None]


class ClosureObjective:
    """Losses and gradients from a closure that calls backward; `maximize` turns both round."""

    def __init__(self, owner: str, closure: Callable[[], Any], flat: FlatParameters, *, maximize: bool) -> None:
        self.owner = owner
        self.closure = closure
        self.flat = flat
        self.sign = -1.0 if maximize else 1.0
        self.calls = 0
        self.first: Any = None  # what the closure returned the first time, for the caller of the step

    def evaluate(self, row: Tensor) -> tuple[Tensor, Tensor]:
        self.flat.write(row)
        loss = self.call()
        return self.sign * self._number(loss), self.sign * self.gradient(loss, row)

    def call(self) -> Any:
        with torch.enable_grad():
            loss = self.closure()
        self.calls += 1
        if self.calls == 1:
            self.first = loss.detach() if isinstance(loss, Tensor) else loss
        return loss

    def gradient(self, loss: Any, row: Tensor) -> Tensor:  # noqa: ARG002 - for closures that leave it to us
        """The gradient [1, d] at `row`, where the closure has just returned `loss`."""
        return self.flat.gradient()

    def _number(self, loss: Any) -> Tensor:
        try:
            number = float(loss.detach() if isinstance(loss, Tensor) else loss)
            return torch.tensor([number], dtype=self.flat.dtype, device=self.flat.params[0].device)
        except (TypeError, ValueError, RuntimeError):
            got = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else repr(loss)
            raise SettingError(
                f"the closure of {self.owner} returned {got}; it must return the loss as one real number: end it "
                "with `return loss`."
            ) from None


class GraphObjective(ClosureObjective):
    """Gradients and Hessians from the graph of the loss that a closure returns."""

    graph: tuple[Tensor, Tensor] | None = None  # the row last evaluated, and its gradient with a graph

    def gradient(self, loss: Any, row: Tensor) -> Tensor:
        with torch.enable_grad():
            grad = self.flat.row(self._derive(loss))
        self.graph = row.clone(), grad
        return grad.detach()

    def hessian(self, row: Tensor) -> Tensor:
        """The second derivatives, [1, d, d], by d backward passes.

        A search for ample decrease ends where it last looked, so the graph there is still alive.
        """
        assert self.graph is not None, "a place is evaluated before its Hessian is asked for"
        here, grad = self.graph
        assert torch.equal(here, row), "the Hessian is asked for where the loss was last evaluated"
        if not grad.requires_grad:  # a loss that is linear in every parameter
            return torch.zeros(1, row.shape[1], row.shape[1], dtype=row.dtype, device=row.device)
        with torch.enable_grad():
            rows = [self.flat.row(self._derive_again(partial)) for partial in grad[0]]
        return self.sign * torch.stack(rows, 1)

    def _derive(self, loss: Any) -> list[Tensor | None]:
        wanted = [param for param in self.flat.params if param.requires_grad]
        try:
            found = torch.autograd.grad(loss, wanted, create_graph=True, allow_unused=True)
        except (RuntimeError, AttributeError, TypeError) as error:
            raise SettingError(
                f"the closure of {self.owner} returned a loss whose graph is gone; Hessians are derived from it: "
                "return the loss tensor itself, and leave out loss.backward()."
            ) from error
        grads = iter(found)
        return [next(grads) if param.requires_grad else None for param in self.flat.params]

    def _derive_again(self, partial: Tensor) -> list[Tensor | None]:
        wanted = [param for param in self.flat.params if param.requires_grad]
        grads = iter(torch.autograd.grad(partial, wanted, retain_graph=True, allow_unused=True))
        return [next(grads) if param.requires_grad else None for param in self.flat.params]


def _real(tensor: Tensor) -> Tensor:
    """A real view that shares memory: [...] complex -> [..., 2]."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _dense(tensor: Tensor) -> Tensor:
    return tensor if tensor.layout is torch.strided else tensor.to_dense()

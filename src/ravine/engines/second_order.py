"""LBFGS, BFGS and Newton as torch optimizers; LBFGS under the arguments and saved states of torch.optim (2.13).

All three take one joint step over all parameters, need a closure and suit full batches. See closure_face.py for
what they share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine.engines.closure_face import ClosureFace, Held
from ravine.engines.closures import ClosureObjective, FlatParameters, GraphObjective
from ravine.engines.torch_inputs import Group, number
from ravine.errors import SettingError, nearest
from ravine.rules import bfgs, lbfgs, newton
from ravine.rules.lbfgs import LBFGSMemory
from ravine.rules.line_search import FullStep
from ravine.rules.quasi_newton import Pair, State, Trace

__all__ = ["BFGS", "LBFGS", "Newton"]


class LBFGS(ClosureFace):
    """`ravine.rules.lbfgs.LBFGS` as torch.optim.LBFGS, with the line search on unless line_search_fn=None.

    lr: the first step tried along a direction; each group's own lr scales its part. maximize: climb instead.
    max_eval: None is 1.25 max_iter as in torch, but 10 at least, or a search could not end in a short step.
    With line_search_fn=None it walks torch's path, including its threshold y's > 1e-10 for a pair; a step to a loss
    that is not finite is taken back.

    >>> x = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    >>> optimizer = LBFGS([x], max_iter=100)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> [round(value, 4) for value in x.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = "strong_wolfe",
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            **_shared(lr, max_iter, max_eval, tolerance_grad, tolerance_change, maximize),
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)

    def method(self, group: Group, lr: float) -> lbfgs.LBFGS:
        search, size = group["line_search_fn"], number("history_size", group["history_size"])
        if search is None:
            return lbfgs.LBFGS(lr=lr, search=FullStep(), min_curvature=1e-10, history_size=size)
        if search != "strong_wolfe":
            raise SettingError(
                f"LBFGS.line_search_fn is {search!r}; {nearest(str(search), ['strong_wolfe'])} Write None for fixed steps."
            )
        return lbfgs.LBFGS(lr=lr, history_size=size)

    def objective(self, closure: Callable[[], Any], flat: FlatParameters, group: Group) -> ClosureObjective:
        if group["line_search_fn"] is not None:
            return super().objective(closure, flat, group)
        return _FixedSteps(closure, flat, group)

    def recall(self, method: lbfgs.LBFGS, held: Held, x: Tensor) -> State:
        if held.get("d") is None:
            return method.init(x)
        parts = zip(held["old_stps"], held["old_dirs"], held["ro"], strict=True)
        pairs = tuple(Pair(*(_row(part, x) for part in pair)) for pair in parts)[-method.history_size :]
        return State(_trace(held, x, len(pairs)), LBFGSMemory(pairs, _row(held["H_diag"], x)))

    def note(self, held: Held, state: State) -> None:
        memory: LBFGSMemory = state.memory
        pairs = [pair for pair in memory.pairs if pair.inverse.item() != 0]
        held.update(_noted(state.trace))
        held.update(
            old_dirs=[pair.change[0] for pair in pairs],
            old_stps=[pair.step[0] for pair in pairs],
            ro=[pair.inverse[0] for pair in pairs],
            H_diag=memory.scale[0],
            al=[None] * self.param_groups[0]["history_size"],  # torch's scratch space
        )


class BFGS(ClosureFace):
    """`ravine.rules.bfgs.BFGS` with the settings of LBFGS; SettingError for more than max_size parameters.

    >>> x = torch.nn.Parameter(torch.tensor([4.0, 0.5]))
    >>> optimizer = BFGS([x])
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = x[0] ** 2 + 50 * x[1] ** 2
    ...     loss.backward()
    ...     return loss
    >>> loss = optimizer.step(closure)
    >>> x.abs().max().item() < 1e-4
    True
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        max_size: int = bfgs.BFGS.max_size,
        *,
        maximize: bool = False,
    ) -> None:
        shared = _shared(lr, max_iter, max_eval, tolerance_grad, tolerance_change, maximize)
        super().__init__(params, {**shared, "max_size": max_size})

    def method(self, group: Group, lr: float) -> bfgs.BFGS:
        return bfgs.BFGS(lr=lr, max_size=number("max_size", group["max_size"]))

    def recall(self, method: bfgs.BFGS, held: Held, x: Tensor) -> State:
        if held.get("d") is None:
            return method.init(x)
        return State(_trace(held, x, held["n_pairs"]), _row(held["inverse"], x))

    def note(self, held: Held, state: State) -> None:
        held.update(_noted(state.trace), inverse=state.memory[0], n_pairs=int(state.trace.age))


class Newton(ClosureFace):
    """`ravine.rules.newton.Newton`; its closure returns the loss and leaves out backward().

    The Hessian is derived from the loss's graph by one backward pass per parameter. SettingError for more than
    max_size parameters, and for a loss without a graph.

    >>> x = torch.nn.Parameter(torch.tensor([1.0, 0.0]))
    >>> optimizer = Newton([x])
    >>> loss = optimizer.step(lambda: x[0] ** 2 - x[1] ** 2 + x[1] ** 4)
    >>> [round(abs(value), 4) for value in x.tolist()]
    [0.0, 0.7071]
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        max_size: int = newton.Newton.max_size,
        *,
        maximize: bool = False,
    ) -> None:
        shared = _shared(lr, max_iter, max_eval, tolerance_grad, tolerance_change, maximize)
        super().__init__(params, {**shared, "max_size": max_size})

    def method(self, group: Group, lr: float) -> newton.Newton:
        return newton.Newton(lr=lr, max_size=number("max_size", group["max_size"]))

    def objective(self, closure: Callable[[], Any], flat: FlatParameters, group: Group) -> ClosureObjective:
        return GraphObjective("Newton", closure, flat, maximize=group["maximize"])

    def recall(self, method: newton.Newton, held: Held, x: Tensor) -> None:  # noqa: ARG002 - it has no memory
        method.init(x)

    def note(self, held: Held, state: None) -> None:
        """Nothing to note beside the counts."""


class _FixedSteps(ClosureObjective):
    """A closure that is not called again after the last step: nobody would look at its loss."""

    def __init__(self, closure: Callable[[], Any], flat: FlatParameters, group: Group) -> None:
        super().__init__("LBFGS", closure, flat, maximize=group["maximize"])
        self.steps = group["max_iter"]

    def evaluate(self, row: Tensor) -> tuple[Tensor, Tensor]:
        if self.calls < max(self.steps, 1):
            self.last = super().evaluate(row)
        return self.last


def _shared(
    lr: float | Tensor,
    max_iter: int,
    max_eval: int | None,
    tolerance_grad: float,
    tolerance_change: float,
    maximize: bool,
) -> Group:
    if max_eval is None and isinstance(max_iter, int):
        max_eval = max(max_iter * 5 // 4, 10)
    return {
        "lr": lr,
        "max_iter": max_iter,
        "max_eval": max_eval,
        "tolerance_grad": tolerance_grad,
        "tolerance_change": tolerance_change,
        "maximize": maximize,
    }


def _row(value: Any, x: Tensor) -> Tensor:
    """One problem's value as a stack of one, in the dtype and place of x."""
    return torch.as_tensor(value, dtype=x.dtype, device=x.device)[None]


def _trace(held: Held, x: Tensor, age: int) -> Trace:
    direction, t, loss, grad = (_row(held[key], x) for key in ("d", "t", "prev_loss", "prev_flat_grad"))
    return Trace(direction, t, loss, grad, age=torch.tensor([age], device=x.device))


def _noted(trace: Trace) -> Held:
    """A trace under the names of torch.optim.LBFGS."""
    return {
        "d": trace.direction[0],
        "t": trace.t.item(),
        "prev_flat_grad": trace.grad[0],
        "prev_loss": trace.loss.item(),
    }

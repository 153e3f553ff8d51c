"""One step of a rule over many tensors of one model, in place, by the fastest way there is.

Three ways, held to the same numbers by tests: compiled (the CPU), torch's fused kernels (CUDA, or no compiler
here), and the rule itself, tensor by tensor, for whatever the two do not take: few or strided numbers, half
precision, rules that look across coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ravine.engines.compiled import compiled
from ravine.engines.fused import kernel_of
from ravine.rules import Rule
from ravine.rules.rule import narrow

__all__ = ["StateForm", "Work", "advance"]

FEWEST = 4096  # numbers in all below which no compiler is called for


class StateForm(NamedTuple):
    """Where the fields of one parameter's state lie when only those that are tensors are held."""

    kind: Callable[..., Any]  # the rule's NamedTuple
    keys: tuple[str | None, ...]  # for each field the name it is held under; None: it needs no memory

    @property
    def held(self) -> list[str]:
        """The names of those that are held, in order."""
        return [key for key in self.keys if key is not None]

    def state(self, held: Sequence[Tensor]) -> Any:
        """The rule's own state from the tensors that are held."""
        left = iter(held)
        return self.kind(*(None if key is None else next(left) for key in self.keys))


@dataclass
class Work:
    """Tensors that step together: real, of one dtype, on one device, with states of one form and one count of steps."""

    form: StateForm
    params: list[Tensor]
    grads: list[Tensor]
    columns: list[list[Tensor]]  # for each tensor of the state, that of every parameter


def advance(rule: Rule, work: Work, *, lr: float, step: int, maximize: bool) -> None:
    """Move parameters and state in place. step: 1 for the first."""
    together = _advance_together(rule, work, lr=lr, step=step, maximize=maximize) if rule.elementwise else set()
    if len(together) == len(work.params):
        return
    by = rule.coefficients(lr, step)
    for i in range(len(work.params)):
        if i not in together:
            _advance_one(rule, work, i, by, maximize=maximize)


def _advance_together(rule: Rule, work: Work, *, lr: float, step: int, maximize: bool) -> set[int] | range:
    """Step those that one call can take, and say which they were."""
    dtype, device = work.params[0].dtype, work.params[0].device
    if sum([param.numel() for param in work.params]) < FEWEST:
        return set()
    code = compiled(rule, dtype) if device.type == "cpu" else None
    kernel = None if code else kernel_of(rule, dtype, device)
    if code is None and kernel is None:
        return set()
    everything = range(len(work.params))
    taken = everything if _all_dense(work) else [i for i in everything if _dense(work, i)]
    if not taken:
        return set()
    params, grads, *columns = (
        tensors if taken is everything else [tensors[i] for i in taken]
        for tensors in (work.params, work.grads, *work.columns)
    )
    if code is not None:
        code(params, grads, columns, [-1.0 if maximize else 1.0, *rule.coefficients(lr, step)])
    elif kernel is not None:
        kernel(rule, params, grads, columns, lr, step, maximize)
    return everything if taken is everything else set(taken)


def _all_dense(work: Work) -> bool:
    """Is every tensor contiguous and of the parameters' dtype?"""
    dtype = work.params[0].dtype
    tensors = chain(work.params, work.grads, *work.columns)
    return all([t.is_contiguous() and t.dtype == dtype for t in tensors])  # noqa: C419 - a list is twice as fast


def _dense(work: Work, i: int) -> bool:
    """Do all tensors of this parameter hold their numbers without gaps, in one order and one dtype?"""
    param, *others = work.params[i], work.grads[i], *(column[i] for column in work.columns)
    if any(t.dtype != param.dtype for t in others):
        return False
    if param.is_contiguous():
        return all(t.is_contiguous() for t in others)
    dense = param.ndim == 4 and param.is_contiguous(memory_format=torch.channels_last)
    return dense and all(t.stride() == param.stride() for t in others)


def _advance_one(rule: Rule, work: Work, i: int, by: Any, *, maximize: bool) -> None:
    """The rule as it is written, for one parameter."""
    param, grad, held = work.params[i], work.grads[i], [column[i] for column in work.columns]
    moved, after = rule.apply(param, -grad if maximize else grad, work.form.state(held), narrow(by, param))
    param.copy_(moved)
    for old, new in zip(held, (t for t in after if t is not None), strict=True):
        old.copy_(new)

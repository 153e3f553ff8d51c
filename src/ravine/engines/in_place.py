"""One step of a rule over many tensors of one model, in place, by the fastest way there is.

Three ways, held to the same numbers by tests: compiled (the CPU), torch's fused kernels (CUDA, or no compiler
here), and the rule itself, tensor by tensor, for whatever the two do not take: few or strided numbers, half
precision, rules that look across coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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

    def state(self, held: list[Tensor]) -> Any:
        """The rule's own state from the tensors that are held."""
        left = iter(held)
        return self.kind(*(None if key is None else next(left) for key in self.keys))


@dataclass(frozen=True)
class Work:
    """Tensors that step together: real, of one dtype, on one device, and with the same count of steps."""

    params: list[Tensor] = field(default_factory=list)
    grads: list[Tensor] = field(default_factory=list)
    held: list[list[Tensor]] = field(default_factory=list)  # for each parameter, the tensors of its state
    forms: list[StateForm] = field(default_factory=list)

    def add(self, param: Tensor, grad: Tensor, held: list[Tensor], form: StateForm) -> None:
        """One parameter more."""
        self.params.append(param)
        self.grads.append(grad)
        self.held.append(held)
        self.forms.append(form)


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
    everything = range(len(work.params))
    dense = [i for i in everything if _dense(work, i)] if code or kernel else []
    if not dense:
        return set()
    whole = len(dense) == len(everything)
    params = work.params if whole else [work.params[i] for i in dense]
    grads = work.grads if whole else [work.grads[i] for i in dense]
    fields = [list(tensors) for tensors in zip(*(work.held[i] for i in dense), strict=True)]
    if code is not None:
        code(params, grads, fields, [-1.0 if maximize else 1.0, *rule.coefficients(lr, step)])
    elif kernel is not None:
        kernel(rule, params, grads, fields, lr, step, maximize)
    return everything if whole else set(dense)


def _dense(work: Work, i: int) -> bool:
    """Do all tensors of this parameter hold their numbers without gaps, in one order and one dtype?"""
    param, grad, held = work.params[i], work.grads[i], work.held[i]
    if param.is_contiguous():
        return grad.is_contiguous() and all(t.is_contiguous() and t.dtype == param.dtype for t in (grad, *held))
    if param.ndim != 4 or not param.is_contiguous(memory_format=torch.channels_last):
        return False
    strides = param.stride()
    return all(t.stride() == strides and t.dtype == param.dtype for t in (grad, *held))


def _advance_one(rule: Rule, work: Work, i: int, by: Any, *, maximize: bool) -> None:
    """The rule as it is written, for one parameter."""
    param, grad, held = work.params[i], work.grads[i], work.held[i]
    moved, after = rule.apply(param, -grad if maximize else grad, work.forms[i].state(held), narrow(by, param))
    param.copy_(moved)
    for old, new in zip(held, (t for t in after if t is not None), strict=True):
        old.copy_(new)

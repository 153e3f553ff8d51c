"""Ways to run a rule over packed parameters: at once; parameter by parameter for rules that look across; by a kernel.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engines.fused import FusedUpdate, has_kernel
from ravine.engines.packing import Layout
from ravine.engines.stacking import per_trial, stack_rules, take_trials, without_decay
from ravine.rules import Rule
from ravine.rules.rule import narrow

__all__ = ["MappedUpdate", "PackedUpdate", "Update", "update_for"]


class Update(Protocol):
    """A rule at work on a packed buffer, with its state."""

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        """Move `flat`, [K, P], in place, with K rates; returns the change of each parameter, [K, P],
        in a buffer that the next step overwrites.
        """
        ...

    def keep(self, index: Tensor) -> None:
        """Forget all trials but `index`."""
        ...


def update_for(rules: Sequence[Rule], layout: Layout, flat: Tensor) -> Update:
    """The fastest way that the rules allow. Raises SettingError when they are of different kinds or structures."""
    stacked = stack_rules(rules, flat.device)
    if not stacked.elementwise:
        return MappedUpdate(stacked, layout, flat)
    return (
        FusedUpdate(rules, layout, flat)
        if has_kernel(rules, layout, flat.device)
        else PackedUpdate(stacked, layout, flat)
    )


def rows(state: Any, index: Tensor) -> Any:
    """A state (a NamedTuple of tensors or None) for the trials `index` alone."""
    return type(state)(*(None if t is None else t[index] for t in state))


class PackedUpdate:
    """An elementwise rule over two slices of the buffer: the parameters that decay, and the others."""

    def __init__(self, rule: Rule, layout: Layout, flat: Tensor) -> None:
        self.cuts = [slice(0, layout.decayed), slice(layout.decayed, layout.size)]
        self.rules = [rule, without_decay(rule)]
        self.states = [rule.init(flat[:, cut]) for cut in self.cuts]
        self.change = torch.empty_like(flat)

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        rates = per_trial(lr, flat.device)
        for i, (cut, rule) in enumerate(zip(self.cuts, self.rules, strict=True)):
            part = flat[:, cut]
            moved, self.states[i] = rule.update(part, grads[:, cut], self.states[i], lr=rates, step=step)
            torch.sub(moved, part, out=self.change[:, cut])
            part.copy_(moved)
        return self.change

    def keep(self, index: Tensor) -> None:
        self.rules = [take_trials(rule, index) for rule in self.rules]
        self.states = [rows(state, index) for state in self.states]
        self.change = self.change[index]


class MappedUpdate:
    """A rule with a norm or a matrix in it: each parameter by itself, trials mapped with vmap."""

    def __init__(self, rule: Rule, layout: Layout, flat: Tensor) -> None:
        self.layout = layout
        plain = without_decay(rule)
        self.rules = {name: rule if name in layout.decaying else plain for name in layout.shapes}
        self.states = {name: _stacked([rule.init(one) for one in param]) for name, param in layout.views(flat).items()}

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        before, slopes, rates = flat.clone(), self.layout.views(grads), per_trial(lr, flat.device)
        for name, param in self.layout.views(flat).items():
            by = narrow(self.rules[name].coefficients(rates, step), param)
            by = type(by)(*(v.flatten() if isinstance(v, Tensor) else v for v in by))  # [K], one number a trial
            dims = type(by)(*(0 if isinstance(v, Tensor) else None for v in by))
            held = self.states[name]
            one = _without_gaps(self.rules[name], held)
            moved, tensors = vmap(one, in_dims=(0, 0, 0, dims))(
                param, slopes[name], [t for t in held if t is not None], by
            )
            self.states[name] = _refill(held, tensors)
            param.copy_(moved)
        return flat - before

    def keep(self, index: Tensor) -> None:
        self.rules = {name: take_trials(rule, index) for name, rule in self.rules.items()}
        self.states = {name: rows(state, index) for name, state in self.states.items()}


def _stacked(states: Sequence[Any]) -> Any:
    """The states of K trials as one, each tensor [K, *shape]."""
    return type(states[0])(*(None if each[0] is None else torch.stack(each) for each in zip(*states, strict=True)))


def _refill(state: Any, tensors: Sequence[Tensor]) -> Any:
    """A state like `state` that holds `tensors` where it holds tensors, and None where it holds None."""
    left = iter(tensors)
    return type(state)(*(None if t is None else next(left) for t in state))


def _without_gaps(rule: Rule, like: Any) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """rule.apply over the tensors of a state alone: vmap takes and returns no None."""

    def one(param: Tensor, grad: Tensor, tensors: Sequence[Tensor], by: Any) -> tuple[Tensor, list[Tensor]]:
        moved, state = rule.apply(param, grad, _refill(like, tensors), by)
        return moved, [t for t in state if t is not None]

    return one

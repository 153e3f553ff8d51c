"""Any rule as a drop-in torch optimizer.

A rule is pure. A torch optimizer changes parameters in place, keeps its memory in one dictionary per
parameter, and reads its settings from groups that anybody may write to between two steps (a learning-rate
scheduler does). This file translates: groups -> rule, dictionary -> the rule's state, and back.

Where it differs from torch, on purpose: `state_dict` hands out copies and `load_state_dict` takes copies
(torch's are live tensors, so a saved state would go on changing); a setting that cannot be used is refused
where it enters, in one line; a sparse gradient is refused before any parameter has moved.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine.engines.torch_inputs import Group, check_group, check_saved, listed, number, stepping
from ravine.errors import SettingError
from ravine.rules import Rule
from ravine.rules.rule import narrow

__all__ = ["Held", "RuleOptimizer", "TorchFace"]

Held = dict[str, Any]
"""What torch keeps for one parameter: tensors like it under torch's names, and its count of steps."""


@dataclass
class _Plan:
    """What a group's settings come to; kept until one of them changes, so a step validates nothing again."""

    asked: tuple[type[Rule], dict[str, object]]
    rule: Rule
    layouts: dict[Tensor, _Layout] = field(default_factory=dict)


@dataclass(frozen=True)
class _Layout:
    """Where the fields of one parameter's state lie in its dictionary."""

    kind: Callable[..., Any]  # the rule's NamedTuple
    keys: tuple[str | None, ...]  # None: this field needs no memory


class TorchFace(torch.optim.Optimizer, ABC):
    """What every torch face shares; a subclass says how its groups spell a rule.

    Parameters without a gradient are skipped and keep their own count of steps. A complex parameter steps as
    its real and imaginary parts. Settings may be one-element tensors; values per trial are a population's.
    """

    torch_names: ClassVar[dict[str, str]] = {}
    """The key under which torch keeps a field of the rule's state, where the two names differ."""

    def __init__(self, params: ParamsT, defaults: Group) -> None:
        self._plans: dict[int, _Plan] = {}
        self._examine(defaults, known=defaults)
        super().__init__(listed(type(self).__name__, params), defaults)

    @abstractmethod
    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        """The kind of rule these settings ask for, and the fields to make it with."""

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of every parameter that has a gradient.

        closure: called first, with gradients enabled, to compute the loss and the gradients anew; its loss
        is returned. Raises SettingError on a sparse gradient and on a setting that became unusable.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        # Everything that can be refused is refused in this first pass, before any parameter moves.
        work = [(group, self._plan(i, group), stepping(group["params"])) for i, group in enumerate(self.param_groups)]
        for group, plan, params in work:
            self._step_group(group, plan, params)
        return loss

    def _step_group(self, group: Group, plan: _Plan, params: list[Tensor]) -> None:
        lr = number("lr", group["lr"])
        numbers: dict[int, Any] = {}  # by step: parameters of a group nearly always share their count
        for param in params:
            step = self.steps_taken(self.state.get(param, {})) + 1
            if step not in numbers:
                numbers[step] = plan.rule.coefficients(lr, step)
            self._advance(param, plan, numbers[step], step, maximize=group["maximize"])

    def steps_taken(self, held: Held) -> int:
        """How many steps a parameter has taken, by what is held for it."""
        return int(held.get("step", 0))

    def count(self, held: Held, step: int) -> None:
        """Note that `step` is done. torch counts in float32, exact to 16.7 million steps."""
        held["step"] = torch.tensor(float(step), dtype=torch.float32)

    def state_dict(self) -> dict[str, Any]:
        """Settings and memory in torch's layout; copies, which later steps leave alone."""
        return copy.deepcopy(super().state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state saved by this optimizer or by its twin in torch.optim; the argument is copied.

        Raises SettingError when it is no such state or holds a setting that cannot be used, before anything
        is changed.
        """
        check_saved(state_dict)
        for group in state_dict["param_groups"]:
            self._examine({**self.defaults, **group}, known=self.defaults)
        super().load_state_dict(copy.deepcopy(state_dict))

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with settings of their own; what the group leaves out is taken from the defaults."""
        if isinstance(param_group, dict):  # torch's own message serves for the rest
            self._examine({**self.defaults, **param_group}, known=self.defaults)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._plans = {}
        for group in self.param_groups:  # a state saved by an older torch lacks the younger settings
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def _examine(self, group: Group, known: Group) -> None:
        """Raise SettingError unless these settings can be used."""
        check_group(type(self).__name__, group, known)
        kind, settings = self.asked(group)
        kind(**settings)

    def _plan(self, index: int, group: Group) -> _Plan:
        asked = self.asked(group)
        plan = self._plans.get(index)
        if plan is None or plan.asked != asked:
            plan = self._plans[index] = _Plan(asked, asked[0](**asked[1]))
        return plan

    def _advance(self, param: Tensor, plan: _Plan, by: Any, step: int, *, maximize: bool) -> None:
        layout = self._layout(param, plan)
        held = self.state.get(param, {})
        state = layout.kind(*(None if key is None else _real(held[key]) for key in layout.keys))
        here = _real(param)
        assert param.grad is not None, "only parameters with a gradient step"
        grad = _real(param.grad)
        new, after = plan.rule.apply(here, -grad if maximize else grad, state, narrow(by, here))
        here.copy_(new)
        for key, value in zip(layout.keys, after, strict=True):
            if key is not None:
                _real(held[key]).copy_(value)
        self.count(held, step)
        if held:
            self.state[param] = held

    def _layout(self, param: Tensor, plan: _Plan) -> _Layout:
        """Where this parameter's state lies; memory that is not there yet begins as the rule's `init` says."""
        held = self.state.get(param, {})
        layout = plan.layouts.get(param)
        if layout is not None and all(key is None or held.get(key) is not None for key in layout.keys):
            return layout
        fresh = plan.rule.init(param)
        keys = tuple(
            None if value is None else self.torch_names.get(name, name)
            for name, value in zip(fresh._fields, fresh, strict=True)
        )
        for key, value in zip(keys, fresh, strict=True):
            if key is not None and held.get(key) is None:
                self.state[param][key] = value.clone()
        plan.layouts[param] = _Layout(type(fresh), keys)
        return plan.layouts[param]


class RuleOptimizer(TorchFace):
    """Runs any rule as a torch optimizer; a group may set `lr`, `maximize` and each field of the rule.

    rule: its fields are the defaults of the groups. lr: the rate, one number >= 0. maximize: climb instead.

    >>> from ravine.rules import SGD
    >>> param = torch.nn.Parameter(torch.tensor([4.0]))
    >>> optimizer = RuleOptimizer([param], SGD(momentum=0.5), lr=0.5)
    >>> param.square().sum().backward()
    >>> optimizer.step()
    >>> param.tolist(), optimizer.state[param]["velocity"].tolist()
    ([0.0], [8.0])
    """

    def __init__(self, params: ParamsT, rule: Rule, lr: float | Tensor = 1e-3, *, maximize: bool = False) -> None:
        if not isinstance(rule, Rule):
            raise SettingError(f"RuleOptimizer got {rule!r}; it needs a rule with its settings: write rules.Adam().")
        settings = {name: getattr(rule, name) for name in _field_names(rule)}
        if clash := settings.keys() & {"params", "lr", "maximize"}:
            raise SettingError(f"{type(rule).__name__} has a field {clash.pop()!r}; a group means its own: rename it.")
        self.rule = rule
        super().__init__(params, {"lr": lr, **settings, "maximize": maximize})

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        return type(self.rule), {name: number(name, group[name]) for name in _field_names(self.rule)}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule}


def _field_names(rule: Any) -> list[str]:
    return [each.name for each in fields(rule) if each.init]


def _real(tensor: Tensor) -> Tensor:
    """A real view that shares memory: [...] complex -> [..., 2]."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor

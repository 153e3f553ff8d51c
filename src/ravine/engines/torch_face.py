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
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from operator import is_
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from ravine.engines.checked_optimizer import CheckedOptimizer
from ravine.engines.in_place import StateForm, Work, advance
from ravine.engines.torch_inputs import Group, check_group, check_once, check_saved, number, stepping
from ravine.errors import SettingError
from ravine.rules import Rule

__all__ = ["Held", "RuleOptimizer", "TorchFace", "count_dtype", "real", "settings"]

Held = dict[str, Any]
"""What torch keeps for one parameter: tensors like it under torch's names, and its count of steps."""


@dataclass
class _Plan:
    """What a group's settings come to; kept until one of them changes, so a step validates nothing again."""

    asked: tuple[type[Rule], dict[str, object]]
    rule: Rule
    forms: dict[Tensor, StateForm] = field(default_factory=dict)
    moving: list[Tensor] = field(default_factory=list)  # the parameters that had a gradient at the last step
    parts: list[_Part] = field(default_factory=list)  # and how they were sorted into calls


@dataclass
class _Part:
    """Parameters of a group that step by one call, as they were found at the last step."""

    places: list[int]  # where they stand among those of the group that have a gradient
    helds: list[Held]  # what is held for each
    work: Work
    steps: int  # that each has taken
    count: Tensor | None  # the same as it is held, one tensor for all: one addition counts; None: nothing counts
    viewed: bool  # complex parameters step through views, which are looked up anew each time

    def stands(self, state: Mapping[Tensor, Held]) -> bool:
        """Is everything still held where it was?"""
        if self.viewed or (self.count is not None and int(self.count) != self.steps):
            return False
        if not self.work.form.held and self.count is None:
            return True
        if not all(map(is_, map(state.get, self.work.params), self.helds)):
            return False
        columns = zip(self.work.form.held, self.work.columns, strict=True)
        return all(all(map(is_, [held.get(key) for held in self.helds], column)) for key, column in columns)


class TorchFace(CheckedOptimizer):
    """What every torch face shares; a subclass says how its groups spell a rule.

    Parameters without a gradient are skipped and keep their own count of steps. A complex parameter steps as
    its real and imaginary parts. Settings may be one-element tensors; values per trial are a population's.
    """

    rule: ClassVar[type[Rule]]
    """The kind of rule that its groups set, unless `asked` says otherwise."""

    torch_names: ClassVar[dict[str, str]] = {}
    """The key under which torch keeps a field of the rule's state, where the two names differ."""

    counts: ClassVar[bool] = True
    """Whether a count of steps is held for each parameter."""

    def __init__(self, params: ParamsT, defaults: Group) -> None:
        self._plans: dict[int, _Plan] = {}
        super().__init__(params, defaults)

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        """The kind of rule these settings ask for, and the fields to make it with."""
        return self.rule, {name: _setting(type(self).__name__, group, name) for name in _field_names(self.rule)}

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
        work = [(group, self._plan(i, group), *stepping(group["params"])) for i, group in enumerate(self.param_groups)]
        parts = [self._parts(plan, params, grads) for _, plan, params, grads in work]
        for (group, plan, *_), found in zip(work, parts, strict=True):
            lr = number("lr", group["lr"])
            for part in found:
                advance(plan.rule, part.work, lr=lr, step=part.steps + 1, maximize=group["maximize"])
                part.steps += 1
                if part.count is not None:
                    part.count.add_(1.0)
        return loss

    def _parts(self, plan: _Plan, params: list[Tensor], grads: list[Tensor]) -> list[_Part]:
        """The parameters of a group sorted into calls; as at the last step, when nothing has changed but gradients."""
        same = len(params) == len(plan.moving) and all(map(is_, params, plan.moving))
        if same and all(part.stands(self.state) for part in plan.parts):
            for part in plan.parts:
                part.work.grads = grads if len(plan.parts) == 1 else [grads[i] for i in part.places]
        else:
            plan.moving, plan.parts = params, self._sort(plan, params, grads)
        return plan.parts

    def _sort(self, plan: _Plan, params: list[Tensor], grads: list[Tensor]) -> list[_Part]:
        found: dict[tuple[object, ...], tuple[list[int], list[Held]]] = {}
        for i, param in enumerate(params):
            held = self.state.get(param, {})
            steps = self.steps_taken(held)
            form = self._form(param, held, plan)
            places, helds = found.setdefault((steps, form, param.dtype, param.device), ([], []))
            places.append(i)
            helds.append(held)
        return [
            self._part(places, helds, form, steps, params, grads)  # type: ignore[arg-type]
            for (steps, form, *_), (places, helds) in found.items()
        ]

    def _part(
        self,
        places: list[int],
        helds: list[Held],
        form: StateForm,
        steps: int,
        params: list[Tensor],
        grads: list[Tensor],
    ) -> _Part:
        count = torch.tensor(float(steps), dtype=count_dtype()) if self.counts else None
        for i, held in zip(places, helds, strict=True):
            if count is not None:
                held["step"] = count
            if held:
                self.state[params[i]] = held
        columns = [[real(held[key]) for held in helds] for key in form.held]
        work = Work(form, [real(params[i]) for i in places], [real(grads[i]) for i in places], columns)
        return _Part(places, helds, work, steps, count, viewed=params[places[0]].is_complex())

    def steps_taken(self, held: Held) -> int:
        """How many steps a parameter has taken, by what is held for it."""
        return int(held.get("step", 0))

    def state_dict(self) -> dict[str, Any]:
        """Settings and memory in torch's layout; copies, which later steps leave alone."""
        saved = super().state_dict()
        for held in saved["state"].values():
            if "step" in held:  # one tensor counts for many here; whoever loads this may count each by itself
                held["step"] = held["step"].clone()
        return saved

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state saved by this optimizer or by its twin in torch.optim; the argument is copied.

        Raises SettingError when it is no such state or holds a setting that cannot be used, before anything
        is changed.
        """
        check_saved(state_dict)
        for group in state_dict["param_groups"]:
            self._examine({**self.defaults, **group}, known=self.defaults)
        saved = copy.deepcopy(state_dict)
        super().load_state_dict(saved)
        self._widen(saved)

    def _widen(self, saved: dict[str, Any]) -> None:
        """Torch casts a loaded state to its parameter's dtype; what a rule keeps wider in half precision stays so."""
        for index, (group, old) in enumerate(zip(self.param_groups, saved["param_groups"], strict=True)):
            plan = self._plan(index, group)
            for param, key in zip(group["params"], old["params"], strict=True):
                if param.dtype not in (torch.bfloat16, torch.float16) or key not in saved["state"]:
                    continue
                fresh = plan.rule.init(param)
                for name, value in zip(fresh._fields, fresh, strict=True):
                    here = self.torch_names.get(name, name)
                    if value is not None and value.dtype != param.dtype and here in self.state[param]:
                        self.state[param][here] = saved["state"][key][here].to(value.device, value.dtype)

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters with settings of their own; what the group leaves out is taken from the defaults."""
        if isinstance(param_group, dict):  # torch's own message serves for the rest
            self._examine({**self.defaults, **param_group}, known=self.defaults)
            check_once(type(self).__name__, param_group, self.param_groups)
        super().add_param_group(param_group)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._plans = {}
        for group in self.param_groups:  # a state saved by an older torch lacks the younger settings
            for name, value in self.defaults.items():
                group.setdefault(name, value)
        for held in self.state.values():  # and counts in plain numbers
            if "step" in held and not isinstance(held["step"], Tensor):
                held["step"] = torch.tensor(float(held["step"]), dtype=count_dtype())

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

    def _form(self, param: Tensor, held: Held, plan: _Plan) -> StateForm:
        """How a parameter's memory lies in `held`; what is not there yet begins as the rule's `init` says."""
        form = plan.forms.get(param)
        if form is not None and all(key is None or held.get(key) is not None for key in form.keys):
            return form
        fresh = plan.rule.init(real(param))
        keys = tuple(
            None if value is None else self.torch_names.get(name, name)
            for name, value in zip(fresh._fields, fresh, strict=True)
        )
        for key, value in zip(keys, fresh, strict=True):
            if key is not None and held.get(key) is None:
                held[key] = _like(value, param)
            elif key is not None and real(held[key]).shape != value.shape:
                raise SettingError(
                    f"{type(self).__name__} holds {key} of shape {list(held[key].shape)} for a parameter of shape "
                    f"{list(param.shape)}; load a state that was saved for this model."
                )
        plan.forms[param] = StateForm(type(fresh), keys)
        return plan.forms[param]


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
        given = {name: getattr(rule, name) for name in _field_names(type(rule))}
        if clash := given.keys() & {"params", "lr", "maximize"}:
            raise SettingError(f"{type(rule).__name__} has a field {clash.pop()!r}; a group means its own: rename it.")
        self._kind = type(rule)
        super().__init__(params, {"lr": lr, **given, "maximize": maximize})

    def asked(self, group: Group) -> tuple[type[Rule], dict[str, object]]:
        return self._kind, {name: number(name, group[name]) for name in _field_names(self._kind)}

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_kind": self._kind}


def settings(given: Group) -> Group:
    """The defaults of a face's groups from the arguments of its `__init__`, given as its locals()."""
    return {name: value for name, value in given.items() if name not in ("self", "params", "__class__")}


def _setting(owner: str, group: Group, name: str) -> Any:
    """One field of a rule as a group spells it: torch has the two betas as a pair."""
    if name not in ("beta1", "beta2") or "betas" not in group:
        return number(name, group[name])
    betas = group["betas"]
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise SettingError(f"{owner}.betas is {betas!r}; it must be a pair of numbers: write betas=(0.9, 0.999).")
    place = int(name == "beta2")
    return number(f"betas[{place}]", betas[place])


def count_dtype() -> torch.dtype:
    """What torch keeps a count of steps in: float32, exact to 16.7 million, unless the default is double."""
    return torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32


@functools.cache
def _field_names(rule: Any) -> list[str]:
    return [each.name for each in fields(rule) if each.init]


def _like(value: Tensor, param: Tensor) -> Tensor:
    """A tensor of a fresh state as it is kept: its own memory, and complex again where the parameter is."""
    part = param.is_complex() and value.shape == (*param.shape, 2)
    return torch.view_as_complex(value.clone()) if part else value.clone()


def real(tensor: Tensor | None) -> Tensor:
    """A real view that shares memory: [...] complex -> [..., 2]."""
    assert tensor is not None, "only parameters with a gradient step"
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor

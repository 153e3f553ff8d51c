"""A method that looks before it steps, as a torch optimizer: what Newton, BFGS and LBFGS share.

All parameters, of every group, are one vector and take one joint step; it is a problem with K = 1 for
`ravine.rules.minimize.drive`. So groups may differ in lr alone, which multiplies their part of the direction.
As in torch.optim.LBFGS the memory is held under the first parameter and one call of `step` runs several
iterations. Where it differs from torch on purpose: max_eval bounds the line search too, a loss that is not finite
shortens the step, `state_dict` hands out copies and `load_state_dict` takes copies, and a closure that raises
leaves the parameters where the step began.

Letters in shapes: d coordinates of all parameters together.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ravine.engines.checked_optimizer import CheckedOptimizer
from ravine.engines.closures import ClosureObjective, FlatParameters
from ravine.engines.torch_inputs import Group, check_group, check_once, check_saved, number
from ravine.errors import SettingError
from ravine.rules.method import Method, Objective
from ravine.rules.minimize import Limits, drive

__all__ = ["ClosureFace", "Held"]

Held = dict[str, Any]
"""What is kept under the first parameter: counts, and the method's memory under torch's names."""


class ClosureFace(CheckedOptimizer, ABC):
    """What the faces of second order share; a subclass says which method its settings ask for.

    A parameter without a gradient stays where it is. A complex parameter counts as its real and imaginary parts;
    the vector has the widest dtype of the parameters, float32 at least; a sparse gradient is made dense.
    """

    @abstractmethod
    def method(self, group: Group, lr: float) -> Method:
        """The method that these settings ask for, with this rate; SettingError when one cannot be used."""

    @abstractmethod
    def recall(self, method: Any, held: Held, x: Tensor) -> Any:
        """The state that `held` describes, for parameters x [1, d]."""

    @abstractmethod
    def note(self, held: Held, state: Any) -> None:
        """Write the state into `held`: fresh tensors, nothing in place."""

    def objective(self, closure: Callable[[], Any], flat: FlatParameters, group: Group) -> ClosureObjective:
        """The closure as a function of the flat vector."""
        return ClosureObjective(type(self).__name__, closure, flat, maximize=group["maximize"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations from the parameters as they are; returns what the closure returned first.

        closure: computes the loss and its gradients anew and returns the loss; it is called several times. What it
        leaves in .grad is the gradient at the place tried last, as in torch. When it raises, the parameters are put
        back where they were.
        """
        owner = type(self).__name__
        if closure is None:
            raise SettingError(
                f"{owner}.step() got no closure; it evaluates the loss at several places: write step(closure), where "
                "closure zeroes the gradients, computes the loss, calls backward and returns the loss."
            )
        group, weight, lr = self._joint()
        method = self.method(group, lr)
        flat = FlatParameters(self._params())
        start, held = flat.read(), dict(self.state.get(flat.params[0], {}))
        if held.get("d") is not None and held["d"].numel() != start.numel():
            raise SettingError(
                f"{owner} holds a memory of {held['d'].numel()} coordinates for parameters of {start.numel()}; load a "
                "state saved for these parameters."
            )
        objective = self.objective(closure, flat, group)
        state = self.recall(method, held, start)
        try:
            result, state = drive(method, _facts(objective), start, state, _limits(group), weight)
        except BaseException:
            flat.write(start)
            raise
        flat.write(result.x)
        held["func_evals"] = held.get("func_evals", 0) + objective.calls
        held["n_iter"] = held.get("n_iter", 0) + int(result.iterations)
        if int(result.iterations):
            self.note(held, state)
        self.state[flat.params[0]] = held
        return objective.first

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a saved state, for LBFGS also one of torch.optim.LBFGS; the argument is copied.

        Raises SettingError when it is no such state or holds a setting that cannot be used, before anything is
        changed. The memory keeps the dtype it was saved in, where torch casts it to that of the first parameter.
        """
        check_saved(state_dict)
        for group in state_dict["param_groups"]:
            self._examine({**self.defaults, **group}, known=self.defaults)
        saved = copy.deepcopy(state_dict)
        super().load_state_dict(saved)
        for held, kept in zip(self.state.values(), saved["state"].values(), strict=True):
            held.update({key: _placed(kept[key], held[key]) for key in held})

    def add_param_group(self, param_group: Group) -> None:
        """Add parameters, with an lr of their own if they want one; the memory begins anew."""
        if isinstance(param_group, dict):  # torch's own message serves for the rest
            shared = {**self.defaults, **(self.param_groups[0] if self.param_groups else {})}
            settings = {name: shared[name] for name in self._shared_names()}
            self._examine({**self.defaults, **settings, **param_group}, known=self.defaults)
            check_once(type(self).__name__, param_group, self.param_groups)
            for name, value in settings.items():
                param_group.setdefault(name, value)
                if self.param_groups:
                    self._check_shared(name, param_group[name], value)
        super().add_param_group(param_group)
        try:
            self._check_size()
        except SettingError:
            self.param_groups.pop()
            raise
        self.state.clear()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # a state of torch's twin lacks our settings
            for name in self._shared_names():
                group.setdefault(name, self.defaults[name])

    def _shared_names(self) -> set[str]:
        """The settings in which groups may not differ; `differentiable` torch writes into the defaults itself."""
        return self.defaults.keys() - {"lr", "differentiable"}

    def _params(self) -> list[Tensor]:
        params = [param for group in self.param_groups for param in group["params"]]
        if not params:
            raise SettingError(f"{type(self).__name__} has groups without any parameter; it needs at least one.")
        return params

    def _check_size(self) -> None:
        params = [param for group in self.param_groups for param in group["params"]]
        group, flat = self.param_groups[0], FlatParameters(params)
        self.method(group, 1.0).check(torch.empty(1, sum(flat.sizes), dtype=flat.dtype, device="meta"))

    def _joint(self) -> tuple[Group, Tensor | float, float]:
        """The settings all groups share, each coordinate's share of the largest rate [d], and that rate."""
        group = self.param_groups[0]
        for other in self.param_groups[1:]:
            for name in self._shared_names():
                self._check_shared(name, other[name], group[name])
        for each in self.param_groups:
            check_group(type(self).__name__, each, self.defaults)
        rates = [float(number("lr", each["lr"])) for each in self.param_groups]
        lr = max(rates)
        if min(rates) == lr:
            return group, 1.0, lr
        flat = FlatParameters(self._params())
        shares = [rate / lr for rate, each in zip(rates, self.param_groups, strict=True) for _ in each["params"]]
        parts = [torch.full((size,), share, dtype=flat.dtype) for size, share in zip(flat.sizes, shares, strict=True)]
        return group, torch.cat(parts).to(flat.params[0].device), lr

    def _check_shared(self, name: str, value: Any, shared: Any) -> None:
        if value != shared:
            owner = type(self).__name__
            raise SettingError(
                f"a parameter group of {owner} sets {name!r} to {value!r} and another to {shared!r}; all groups take one "
                f"joint step, and only lr may differ: write {owner}(groups, {name}={value!r}) for all."
            )

    def _examine(self, group: Group, known: Group) -> None:
        """Raise SettingError unless these settings can be used."""
        check_group(type(self).__name__, group, known)
        self.method(group, float(number("lr", group["lr"])))
        _limits(group)


def _facts(objective: ClosureObjective) -> Objective:
    return Objective(objective.evaluate, getattr(objective, "hessian", None))


def _limits(group: Group) -> Limits:
    names = ("max_iter", "max_eval", "tolerance_grad", "tolerance_change")
    return Limits(**{name: number(name, group[name]) for name in names})


def _placed(kept: Any, loaded: Any) -> Any:
    """What was saved, in its own dtype, where the loaded copy of it lies."""
    if isinstance(kept, list):
        return [_placed(a, b) for a, b in zip(kept, loaded, strict=True)]
    return kept.to(loaded.device) if isinstance(kept, Tensor) else kept

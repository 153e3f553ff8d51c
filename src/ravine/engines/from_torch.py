"""Any torch optimizer as the rule of a population: torch.optim's own that have no rule here (Rprop, ASGD, Adafactor), and those
of other packages.

A population packs its trials into one buffer and moves all at once. A torch optimizer knows nothing of trials, so each trial has
one of its own over views of its row: what the optimizer does is done to the bit, only not side by side.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ravine.engines.packing import Layout
from ravine.errors import SettingError, nearest
from ravine.rules import Rule
from ravine.types import Hyper

__all__ = ["PREFIX", "FromTorch", "FromTorchUpdate", "needs_closure", "torch_optimizer"]

PREFIX = "torch."
"""What a name begins with that means an optimizer of torch.optim: `torch.Rprop`."""

NEEDING_MORE = ("LBFGS", "SparseAdam")
"""Those that no population can run: they ask for the loss again and again, or for sparse gradients."""


@dataclass(frozen=True)
class FromTorch(Rule):
    """A torch optimizer in the place of a rule, in a `Population` and wherever rules are given as values.

    make: a class or a callable (parameters or groups, lr=...) -> torch.optim.Optimizer. options: further keywords as pairs.
    weight_decay: given to it where it is not 0; biases, norms and embeddings have none, as with every rule here.

    >>> rule = FromTorch(torch.optim.Rprop, (("etas", (0.5, 1.2)),))
    >>> type(rule.built([torch.zeros(2)])).__name__
    'Rprop'
    """

    make: Callable[..., torch.optim.Optimizer]
    options: tuple[tuple[str, Any], ...] = ()
    weight_decay: Hyper = 0.0

    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not callable(self.make):
            raise SettingError(
                f"FromTorch got {self.make!r}; it needs a class such as torch.optim.Rprop, or a factory."
            )
        self.built([torch.zeros(1)])  # what cannot be used is refused here

    def built(self, decaying: Sequence[Tensor], others: Sequence[Tensor] = ()) -> torch.optim.Optimizer:
        """The optimizer over these tensors. Raises SettingError for options that it does not take."""
        decay = {} if self.weight_decay == 0 else {"weight_decay": self.weight_decay}
        free = {"weight_decay": 0.0} if decay else {}
        groups: list[dict[str, Any]] = [
            {"params": list(tensors), **more} for tensors, more in ((decaying, decay), (others, free)) if tensors
        ]
        name = getattr(self.make, "__name__", "the factory")
        try:
            optimizer = self.make(groups, lr=1.0, **dict(self.options))
        except (TypeError, ValueError) as error:
            raise SettingError(f"{name} cannot be made with lr and {sorted(dict(self.options))}: {error}") from error
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise SettingError(f"{name} gives {type(optimizer).__name__}; it must give a torch.optim.Optimizer.")
        if decay and "weight_decay" not in optimizer.defaults:
            raise SettingError(f"{name} has no weight_decay: write weight_decay 0, or another optimizer.")
        if needs_closure(optimizer):
            raise SettingError(
                f"{name} asks for the loss again within a step (a closure); a population takes one gradient a step."
            )
        return optimizer

    def init(self, param: Tensor) -> Any:  # noqa: ARG002
        """Refused: its steps are not those of one parameter."""
        raise self._refusal()

    def coefficients(self, lr: Hyper, step: int) -> Any:  # noqa: ARG002
        """Refused, see `init`."""
        raise self._refusal()

    def apply(self, param: Tensor, grad: Tensor, state: Any, by: Any) -> tuple[Tensor, Any]:  # noqa: ARG002
        """Refused, see `init`."""
        raise self._refusal()

    def _refusal(self) -> SettingError:
        name = getattr(self.make, "__name__", "the factory")
        return SettingError(
            f"{name} steps whole models: train it in a Population, or use it as the torch optimizer that it is."
        )


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Does its step take no step without one, as that of L-BFGS?"""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is closure.empty


def torch_optimizer(name: str) -> Callable[..., torch.optim.Optimizer]:
    """The class behind `torch.Rprop`, its letters large or small. Raises SettingError for a name that torch.optim does not have.

    >>> torch_optimizer("torch.rprop").__name__
    'Rprop'
    """
    known = {
        one.lower(): kind
        for one, kind in vars(torch.optim).items()
        if isinstance(kind, type)
        and issubclass(kind, torch.optim.Optimizer)
        and one not in ("Optimizer", *NEEDING_MORE)
    }
    wanted = name.removeprefix(PREFIX).lower()
    if wanted not in known:
        raise SettingError(
            f"optimizer {name!r} is not one of torch.optim's that a trial can take; "
            f"{nearest(PREFIX + wanted, [PREFIX + kind.__name__ for kind in known.values()])}"
        )
    return known[wanted]


class FromTorchUpdate:
    """K torch optimizers at work on the rows of a packed buffer."""

    def __init__(self, rules: Sequence[FromTorch], layout: Layout, flat: Tensor) -> None:
        if len({(rule.make, rule.options) for rule in rules}) != 1:
            raise SettingError(
                "a population holds one kind of torch optimizer: give each kind a population of its own."
            )
        self.layout = layout
        self.params: list[list[Tensor]] = []  # of each trial, in packed order: views of its row
        self.optimizers: list[torch.optim.Optimizer] = []
        for rule, row in zip(rules, flat, strict=True):
            views = self._views(row)
            count = sum(name in layout.decaying for name in layout.shapes)
            self.params.append(views)
            self.optimizers.append(rule.built(views[:count], views[count:]))
        self.ratios = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self._mode("train")

    def _views(self, row: Tensor) -> list[Tensor]:
        return [view.detach() for view in self.layout.views(row).values()]

    def _follow(self, flat: Tensor) -> None:
        """The optimizers' parameters are views of this buffer from now on: it is another one after a trial was dropped."""
        for params, row in zip(self.params, flat, strict=True):
            for param, view in zip(params, self._views(row), strict=True):
                param.data = view

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:  # noqa: ARG002 - they count themselves
        self._follow(flat)
        before = flat.clone()
        try:
            for k, optimizer in enumerate(self.optimizers):
                for param, grad in zip(self.params[k], self._views(grads[k]), strict=True):
                    param.grad = grad
                for group, ratio in zip(optimizer.param_groups, self.ratios[k], strict=True):
                    group["lr"] = lr[k] * ratio
                optimizer.step()
        except Exception:
            flat.copy_(before)
            raise
        finally:
            for param in (p for params in self.params for p in params):
                param.grad = None
        torch.sub(flat, before, out=grads)
        return grads

    def set_momentum(self, values: Sequence[float]) -> None:
        for optimizer, value in zip(self.optimizers, values, strict=True):
            for group in optimizer.param_groups:
                if "betas" in group:
                    group["betas"] = (value, *group["betas"][1:])
                elif "momentum" in group:
                    group["momentum"] = value

    def settled(self, flat: Tensor) -> Tensor:
        """What the optimizers put into the parameters for an evaluation, where they have such a mode."""
        if not callable(getattr(self.optimizers[0], "eval", None)):
            return flat
        self._follow(flat)
        training = flat.clone()
        self._mode("eval")
        kept = flat.clone()
        self._mode("train")
        flat.copy_(training)
        return kept

    def _mode(self, name: str) -> None:
        for optimizer in self.optimizers:
            if callable(change := getattr(optimizer, name, None)):
                change()

    def keep(self, index: Tensor) -> None:
        chosen = index.tolist()
        self.params = [self.params[k] for k in chosen]
        self.optimizers = [self.optimizers[k] for k in chosen]
        self.ratios = [self.ratios[k] for k in chosen]

    def snapshot(self) -> list[Any]:
        return [_saved(optimizer.state_dict()) for optimizer in self.optimizers]

    def restore(self, saved: Any) -> None:
        for optimizer, one in zip(
            self.optimizers, copy.deepcopy(list(saved)), strict=True
        ):  # torch would share the tensors
            places = [group["params"] for group in optimizer.state_dict()["param_groups"]]
            groups = [{**group, "params": own} for group, own in zip(one["groups"], places, strict=True)]
            states = {i: dict(state) for i, state in enumerate(one["states"]) if state}
            optimizer.load_state_dict({"state": states, "param_groups": groups})


def _saved(state: Mapping[str, Any]) -> dict[str, Any]:
    """A torch optimizer's state without the numbers that stand for parameters: JSON has no such keys."""
    groups = [{name: value for name, value in group.items() if name != "params"} for group in state["param_groups"]]
    count = sum(len(group["params"]) for group in state["param_groups"])
    return {"groups": groups, "states": [dict(state["state"].get(i, {})) for i in range(count)]}

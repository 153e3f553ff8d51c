"""What a torch optimizer may be given, checked where it enters; each refusal is one line.

torch.optim lets some of this pass: a misspelled setting in a group, a NaN rate, an infinite decay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import SettingError

__all__ = ["Group", "check_group", "check_once", "check_saved", "listed", "number", "stepping"]

Group = dict[str, Any]
"""One parameter group: "params", "lr", "maximize" and the settings of its rule."""


def check_group(owner: str, group: Group, known: Group) -> None:
    """Raise SettingError when a group misspells a setting, or its lr or `differentiable` cannot be used.

    known: the settings that exist. Other keys are the user's own notes, or a scheduler's, and are let be.
    """
    for name in group.keys() - known.keys() - {"params", "param_names"}:
        if close := get_close_matches(str(name), known, n=1, cutoff=0.85):
            raise SettingError(f"a parameter group of {owner} sets {name!r}; it must be spelled {close[0]!r}.")
    lr = number("lr", group["lr"])
    if not isinstance(lr, Real) or not 0 <= float(lr) < math.inf:
        raise SettingError(f"{owner}.lr is {lr!r}; it must be one number, 0 or more: write lr=0.001, for example.")
    if group.get("differentiable"):
        raise SettingError(
            f"{owner}(differentiable=True) asks for gradients through the step, which changes parameters in "
            "place: write differentiable=False, and differentiate the rule's own `update` instead."
        )


def check_once(owner: str, group: Group, others: list[Group]) -> None:
    """Raise SettingError when a parameter of this group was given before, here or in another group.

    (torch warns of the one and lets it step twice.)
    """
    given = group["params"]
    entries = [given] if isinstance(given, Tensor) else list(given)
    if not isinstance(given, Tensor | list | tuple):  # an iterator is read once: torch must find the rest of us here
        group["params"] = entries
    params = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
    known = {id(param) for other in others for param in other["params"]}
    for place, param in enumerate(params):
        if id(param) in known:
            shape = list(param.shape) if isinstance(param, Tensor) else param
            raise SettingError(
                f"{owner} got parameter {place} of a group, shape {shape}, a second time; each is stepped once: "
                "list it in one group, once."
            )
        known.add(id(param))


def check_saved(state_dict: dict[str, Any]) -> None:
    """Raise SettingError unless this is what an optimizer's state_dict() returns."""
    if not {"state", "param_groups"} <= state_dict.keys():
        raise SettingError(
            f"the state to load has the keys {sorted(map(str, state_dict))}; it needs 'state' and 'param_groups': "
            "load what an optimizer's state_dict() returned, checkpoint['optimizer'] for example."
        )


def listed(owner: str, params: Any) -> list[Any]:
    """The parameters or groups as a list; SettingError when it is none, or is empty."""
    if isinstance(params, Tensor | dict | nn.Module) or not isinstance(params, Iterable):
        raise SettingError(
            f"{owner} got a {type(params).__name__} to optimize; it needs a list of parameters or of groups: "
            "write model.parameters(), [tensor] or [{'params': [tensor]}]."
        )
    entries = list(params)
    if not entries:
        raise SettingError(
            f"{owner} got an empty list of parameters; it needs at least one: write model.parameters(), and list "
            "a generator that is read twice."
        )
    return entries


def number(name: str, value: Any) -> Any:
    """A setting as a plain value: a one-element tensor as its number, anything but a tensor as it is."""
    if not isinstance(value, Tensor):
        return value
    if value.numel() != 1:
        raise SettingError(
            f"{name} has shape {list(value.shape)}; a torch optimizer trains one model and needs one number: "
            "write a float. Values per trial belong to a Population."
        )
    return value.item()


def stepping(params: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters that have a gradient, and their gradients; SettingError when one is sparse."""
    pairs = [(param, grad) for param in params if (grad := param.grad) is not None]
    for param, grad in pairs:
        if grad.layout is not torch.strided:
            raise SettingError(
                f"the gradient of a parameter of shape {list(param.shape)} is sparse ({grad.layout}); the rules need a "
                "dense one: write nn.Embedding(..., sparse=False), or call .to_dense() on it before the step."
            )
    return [param for param, _ in pairs], [grad for _, grad in pairs]

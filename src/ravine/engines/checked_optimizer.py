"""A torch optimizer that refuses what it cannot use where it enters, and hands out copies of its state."""

from __future__ import annotations

import copy
import inspect
from typing import Any, Self

import torch
from torch.optim.optimizer import ParamsT

from ravine.engines.torch_inputs import Group, listed
from ravine.errors import SettingError, nearest

__all__ = ["CheckedOptimizer"]


class CheckedOptimizer(torch.optim.Optimizer):
    """What every face shares, of first order and of second; a subclass says what it can use in `_examine`."""

    def __new__(cls, *args: object, **options: object) -> Self:  # noqa: ARG004 - the rest is __init__'s
        """Refuse an option that does not exist, and name the nearest."""
        known = inspect.signature(cls.__init__).parameters
        for name in options.keys() - known.keys():
            raise SettingError(f"{cls.__name__} has no option {name!r}; {nearest(name, known.keys() - {'self'})}")
        return super().__new__(cls)

    def __init__(self, params: ParamsT, defaults: Group) -> None:
        self._examine(defaults, known=defaults)
        super().__init__(listed(type(self).__name__, params), defaults)

    def state_dict(self) -> dict[str, Any]:
        """Settings and memory in torch's layout; copies, which later steps leave alone."""
        return copy.deepcopy(super().state_dict())

    def _examine(self, group: Group, known: Group) -> None:
        """Raise SettingError unless these settings can be used."""
        raise NotImplementedError

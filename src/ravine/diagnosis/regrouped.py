"""A case's rule with options of its parameter groups set to other values: a momentum, an epsilon."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from ravine.diagnosis.case import Case

__all__ = ["regrouped"]


class Held(nn.Module):
    """Parameters as `Case.optimizer` takes them, in their order."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        super().__init__()
        for i, parameter in enumerate(parameters):
            self.register_parameter(str(i), parameter)


def regrouped(case: Case, **values: Any) -> Callable[..., torch.optim.Optimizer]:
    """A rule for `Case.rule`: the case's own, with these options in all its groups.

    >>> from torch.optim import Adam
    >>> case = Case(lambda: nn.Linear(1, 1), *4 * [torch.ones(4, 1)], "mse", lambda p, lr: Adam(p, lr=lr, eps=1.0), 0.1, 4, 1)
    >>> model = case.build()
    >>> case.optimizer(model).param_groups[0]["eps"], case.but(rule=regrouped(case, eps=1e-8)).optimizer(model).param_groups[0]["eps"]
    (1.0, 1e-08)
    """

    def rule(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.Optimizer:
        optimizer = case.but(lr=lr).optimizer(Held(parameters))
        for group in optimizer.param_groups:
            group.update(values)
        return optimizer

    return rule

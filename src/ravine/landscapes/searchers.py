"""Configurations of one second-order method: a step of theirs is a direction and a search along it.

Letters in shapes: N configurations in all, n of this method, B places of a block, d coordinates.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor

from ravine.landscapes.crowd import Configuration
from ravine.landscapes.surface import Surface
from ravine.rules import Method
from ravine.rules.line_search import Point
from ravine.rules.method import Objective

__all__ = ["Searchers", "searchers"]

EVALUATIONS = 1000  # that one step may use; its search needs some 5


class Searchers:
    """n problems of one method in lockstep. Those that have stopped stay in the stack and evaluate nothing more."""

    def __init__(self, surface: Surface, method: Method, who: Sequence[int], starts: Tensor) -> None:
        self.method, self.who = method, torch.tensor(who)
        self.objective = Objective(lambda x: (surface.value(x), surface.gradient(x)), surface.hessian)
        x = starts[self.who]
        self.state: Any = method.init(x)
        self.point = Point(x, *self.objective.evaluate(x))
        self.going = torch.ones(len(who), dtype=torch.bool)
        self.done = self.going  # where no better place was found, [B, n], of the last block

    @property
    def alive(self) -> bool:
        return bool(self.going.any())

    def block(self, step: int, count: int, every: int) -> Tensor:  # noqa: ARG002 - a method does not count its steps
        """The next `count` places, [B, n, d], `every` steps apart."""
        places, done = [], []
        for _ in range(count):
            stuck = torch.ones_like(self.going)
            for _ in range(every):
                allowed = torch.where(self.going, EVALUATIONS, 0)
                taken = self.method.step(self.objective, self.point, self.state, allowed)
                self.point, self.state = taken.point, taken.state
                stuck &= (taken.moved == 0) & ~taken.retry
            places.append(self.point.x)
            done.append(stuck)
        self.done = torch.stack(done)
        return torch.stack(places)

    def keep(self, running: Tensor) -> None:
        """Go on with those of the configurations that are running, [N] bool."""
        self.going = running[self.who]


def searchers(surface: Surface, configurations: Sequence[Configuration], starts: Tensor) -> list[Searchers]:
    """The configurations of methods, those of one method and one rate together."""
    groups: dict[Method, list[int]] = {}
    for k, (rule, lr, _) in enumerate(configurations):
        if isinstance(rule, Method):
            method = dataclasses.replace(cast(Any, rule), lr=float(lr))
            groups.setdefault(method, []).append(k)
    return [Searchers(surface, method, who, starts) for method, who in groups.items()]

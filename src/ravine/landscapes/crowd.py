"""Configurations that step together, from one gradient for all of them.

Rules of one kind are one update: stacked where no coordinate looks at another, else mapped over the points.

Letters in shapes: N configurations in all, n of them still walking, B places of a block, d coordinates.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from ravine.engines import Layout
from ravine.engines.stacked import hush_slow_operations
from ravine.engines.stacking import per_trial, stack_rules, take_trials
from ravine.engines.updates import MappedUpdate, rows
from ravine.landscapes.surface import Surface
from ravine.randomness import derive
from ravine.regularization.draws import uniform
from ravine.rules import SGD, Method, Rule

__all__ = ["Configuration", "Crowd", "gaussian", "kinds"]


class Configuration(NamedTuple):
    """Who walks: a rule, its rate, and where it starts."""

    rule: Rule | Method
    lr: float
    start: tuple[float, ...]


class Member(Protocol):
    """One kind of rule and the points it moves, [n, d]."""

    def place(self, x: Tensor) -> Tensor:
        """Where the next gradient is taken."""
        ...

    def step(self, x: Tensor, grad: Tensor, step: int) -> Tensor:
        """The next points. step: 1 for the first."""
        ...

    def settled(self, x: Tensor) -> Tensor:
        """The points to show."""
        ...

    def keep(self, index: Tensor) -> None:
        """Forget all points but `index`."""
        ...


class Crowd:
    """The configurations of rules, each kind a member. `who` says which they are, [n], in the order of the points."""

    def __init__(self, surface: Surface, configurations: Sequence[Configuration], starts: Tensor, seed: int) -> None:
        groups = kinds(configurations)
        self.surface, self.noise = surface, _Noise(surface, len(configurations), derive(seed, "noise"))
        self.sizes = [len(group) for group in groups]
        self.who = torch.tensor([k for group in groups for k in group], dtype=torch.long)
        self.x = starts[self.who]
        parts = zip(groups, self.x.split(self.sizes), strict=True)
        self.members = [_member([configurations[k] for k in group], x) for group, x in parts]
        self.done = torch.zeros((), dtype=torch.bool)  # a rule always has a next step

    @property
    def alive(self) -> bool:
        return len(self.who) > 0

    def block(self, step: int, count: int, every: int) -> Tensor:
        """The next `count` places, [B, n, d], `every` steps apart; `step` have been taken."""
        block = self.x.new_empty(count, *self.x.shape)
        for place in block:
            for _ in range(every):
                step += 1
                self._step(step)
            place.copy_(self._joined([m.settled(x) for m, x in zip(self.members, self._parts(self.x), strict=True)]))
        return block

    def _step(self, step: int) -> None:
        parts = self._parts(self.x)
        places = self._joined([member.place(x) for member, x in zip(self.members, parts, strict=True)])
        grad = self.surface.gradient(places)
        if self.surface.noise:
            grad = grad + self.noise.at(step)[self.who]
        grads = self._parts(grad)
        self.x = self._joined([m.step(x, g, step) for m, x, g in zip(self.members, parts, grads, strict=True)])

    def _parts(self, x: Tensor) -> tuple[Tensor, ...]:
        return (x,) if len(self.sizes) == 1 else x.split(self.sizes)

    @staticmethod
    def _joined(parts: list[Tensor]) -> Tensor:
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def keep(self, running: Tensor) -> None:
        """Go on with those of the configurations that are running, [N] bool."""
        going = running[self.who]
        if bool(going.all()):
            return
        left: list[tuple[Member, int]] = []
        for member, mask in zip(self.members, going.split(self.sizes), strict=True):
            if bool(mask.any()):
                member.keep(mask.nonzero().flatten())
                left.append((member, int(mask.sum())))
        self.members, self.sizes = [member for member, _ in left], [size for _, size in left]
        self.x, self.who = self.x[going], self.who[going]


class _Noise:
    """The noise of every step, drawn for a few steps ahead."""

    AHEAD = 64

    def __init__(self, surface: Surface, count: int, seed: int) -> None:
        self.size, self.seed, self.scale = (count, surface.dimension), seed, math.sqrt(surface.noise)
        self.first, self.draws = 0, torch.empty(0)

    def at(self, step: int) -> Tensor:
        """For each configuration, [N, d]."""
        if not 0 <= step - self.first < len(self.draws):
            self.first, steps = step, torch.arange(step, step + self.AHEAD)
            self.draws = self.scale * gaussian(*self.size, self.seed, steps)
        return self.draws[step - self.first]


class _Stacked:
    """An elementwise rule for all its points in one update, each with its own numbers."""

    def __init__(self, rules: Sequence[Rule], lrs: Sequence[float], x: Tensor) -> None:
        self.rule, self.rates = stack_rules(rules), per_trial(lrs)
        self.state: Any = self.rule.init(x)

    def place(self, x: Tensor) -> Tensor:
        return x

    def step(self, x: Tensor, grad: Tensor, step: int) -> Tensor:
        by = self.rule.coefficients(self.rates, step)  # in float64 already, as the points are: nothing to narrow
        moved, self.state = self.rule.apply(x, grad, self.state, by)
        return moved

    def settled(self, x: Tensor) -> Tensor:
        return self.rule.settled(x, self.state)

    def keep(self, index: Tensor) -> None:
        self.rule, self.state = take_trials(self.rule, index), rows(self.state, index)
        if isinstance(self.rates, Tensor):
            self.rates = self.rates[index]


class _Ahead(_Stacked):
    """Nesterov in its own form: heavy ball fed with the gradients ahead of it. Decay acts where the gradient is taken."""

    def __init__(self, rules: Sequence[SGD], lrs: Sequence[float], x: Tensor) -> None:
        bare = [dataclasses.replace(rule, nesterov=False, weight_decay=0.0) for rule in rules]
        super().__init__(bare, lrs, x)
        self.decay = per_trial([cast(float, rule.weight_decay) for rule in rules])

    def place(self, x: Tensor) -> Tensor:
        self.ahead = cast(SGD, self.rule).ahead(x, self.state, lr=self.rates)
        return self.ahead

    def step(self, x: Tensor, grad: Tensor, step: int) -> Tensor:
        return super().step(x, grad + self.decay * self.ahead, step)

    def keep(self, index: Tensor) -> None:
        super().keep(index)
        if isinstance(self.decay, Tensor):
            self.decay = self.decay[index]


class _Mapped:
    """A rule that looks across coordinates: each point by itself, mapped."""

    def __init__(self, rules: Sequence[Rule], lrs: Sequence[float], x: Tensor) -> None:
        hush_slow_operations()
        layout = Layout({"point": x.shape[1:]}, frozenset({"point"}), x.dtype)
        self.update, self.lrs = MappedUpdate(stack_rules(rules), layout, x), list(lrs)

    def place(self, x: Tensor) -> Tensor:
        return x

    def step(self, x: Tensor, grad: Tensor, step: int) -> Tensor:
        moved = x.clone()
        self.update.step(moved, grad, self.lrs, step)
        return moved

    def settled(self, x: Tensor) -> Tensor:
        return self.update.settled(x)

    def keep(self, index: Tensor) -> None:
        self.update.keep(index)
        self.lrs = [self.lrs[k] for k in index.tolist()]


def _member(configurations: Sequence[Configuration], x: Tensor) -> Member:
    rules = [cast(Rule, c.rule) for c in configurations]
    lrs = [float(c.lr) for c in configurations]
    first = rules[0]
    if not first.elementwise:
        return _Mapped(rules, lrs, x)
    if isinstance(first, SGD) and first.nesterov:
        return _Ahead(cast(list[SGD], rules), lrs, x)
    return _Stacked(rules, lrs, x)


def kinds(configurations: Sequence[Configuration]) -> list[list[int]]:
    """Which configurations can be stacked: those of rules that differ in numbers alone, and not between 0 and another.

    A number that is 0 may be a structure of its own: SGD without momentum has no velocity.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for k, configuration in enumerate(configurations):
        rule = configuration.rule
        if isinstance(rule, Rule):
            structure = []
            for field in dataclasses.fields(rule):  # type: ignore[arg-type]
                value = getattr(rule, field.name)
                structure.append(value == 0 if isinstance(field.default, float) else value)
            groups.setdefault((type(rule), *structure), []).append(k)
    return list(groups.values())


def gaussian(count: int, dimension: int, seed: int, steps: Tensor) -> Tensor:
    """Standard normal draws, [T, count, dimension] float64 for steps [T]: row k of each depends on (seed, step, k) alone.

    Box & Muller 1958 from numbers of 24 bits, so none is larger than 5.8.
    """
    draws: Tensor = torch.vmap(lambda step: uniform((count, dimension, 2), seed, step))(steps).double()
    radius = torch.sqrt(-2 * torch.log1p(-draws[..., 0]))
    return radius * torch.cos(2 * math.pi * draws[..., 1])

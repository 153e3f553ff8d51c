"""What holds the weights of a population back, each trial by its own numbers: penalties and the max-norm constraint.

Both work on packed memory. The parameters that are touched become slices of a row, neighbours joined into one:
weights lie first there, so the usual choice is a single slice.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ravine.engines.packing import Layout
from ravine.engines.stacking import per_trial
from ravine.errors import SettingError
from ravine.regularization import MaxNorm, Penalty
from ravine.regularization.max_norm import scales
from ravine.regularization.penalties import Strengths
from ravine.regularization.weights import chosen
from ravine.types import Hyper

__all__ = ["Constraints", "StackedLimits", "StackedPenalties", "slices"]

Kind = TypeVar("Kind", Penalty, MaxNorm)


@dataclass
class StackedPenalties:
    """The penalties of K trials over the same parameters."""

    cuts: Sequence[slice]
    by: Strengths  # floats where all trials agree, else [K, 1]

    @classmethod
    def of(cls, penalties: Sequence[Penalty | None], module: nn.Module, layout: Layout) -> StackedPenalties | None:
        """None when no trial has a penalty. Raises SettingError when trials choose different parameters."""
        first = _first("penalties", "L2(1e-4)", Penalty, penalties)  # type: ignore[type-abstract]
        if first is None:
            return None
        cuts = slices(layout, chosen(module, first.include, first.exclude))
        pairs = [penalty.strengths if penalty else Strengths(0.0, 0.0) for penalty in penalties]
        return cls(cuts, Strengths(*(_shared(values) for values in zip(*pairs, strict=True))))

    def add_slopes_(self, grads: Tensor, flat: Tensor) -> None:
        """Add the penalties' gradient at flat, [K, P], to grads, [K, P]."""
        for cut in self.cuts:
            self.by.add_slope_(grads[:, cut], flat[:, cut])

    def shrink_(self, flat: Tensor, lr: Sequence[float]) -> None:
        """The proximal step on flat, [K, P], with K rates."""
        rates = per_trial(lr)  # beside the strengths; both go to the weights' device as one number
        for cut in self.cuts:
            flat[:, cut] = self.by.proximal(flat[:, cut], rates)

    def keep(self, index: Tensor) -> None:
        self.by = Strengths(*(_taken(value, index) for value in self.by))


@dataclass
class StackedLimits:
    """The max-norm constraints of K trials over the same weights."""

    layout: Layout
    names: Collection[str]
    limit: Hyper  # a float where all trials agree, else [K, 1]; inf for a trial without

    @classmethod
    def of(cls, limits: Sequence[MaxNorm | None], module: nn.Module, layout: Layout) -> StackedLimits | None:
        """None when no trial has a limit. Raises SettingError when trials choose different parameters."""
        first = _first("limits", "MaxNorm(3.0)", MaxNorm, limits)
        if first is None:
            return None
        return cls(layout, first.weights(module).keys(), _shared([one.limit if one else math.inf for one in limits]))

    def apply_(self, flat: Tensor) -> None:
        """Scale back, in flat, [K, P], the units that are too long."""
        limit = self.limit.unsqueeze(-1) if isinstance(self.limit, Tensor) else self.limit
        views = self.layout.views(flat)
        for name in self.names:
            out, *rest = self.layout.shapes[name]
            rows = views[name].view(len(flat), out, math.prod(rest))
            rows.mul_(scales(rows, limit))

    def keep(self, index: Tensor) -> None:
        self.limit = _taken(self.limit, index)


class Constraints:
    """The penalties and limits of a population, before and after its rule. Without any, nothing is computed.

    penalties, limits: K each, or None for none. proximal: the penalties act after the rule, not on its gradient.
    Raises SettingError when they are not K, or not of one choice of parameters.
    """

    def __init__(
        self,
        module: nn.Module,
        layout: Layout,
        trials: int,
        *,
        penalties: Sequence[Penalty | None] | None,
        proximal: bool,
        limits: Sequence[MaxNorm | None] | None,
    ) -> None:
        if proximal and penalties is None:
            raise SettingError("proximal=True is a way to apply penalties, and none are given: write penalties=[...].")
        _check_count("penalties", penalties, trials)
        _check_count("limits", limits, trials)
        self.penalties = StackedPenalties.of(penalties, module, layout) if penalties is not None else None
        self.limits = StackedLimits.of(limits, module, layout) if limits is not None else None
        self.proximal = proximal and self.penalties is not None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return self.penalties is not None or self.limits is not None

    @property
    def project(self) -> bool:
        """Whether weights move once more after the rule."""
        return self.proximal or self.limits is not None

    def before_(self, grads: Tensor, flat: Tensor) -> None:
        """What joins the gradient, [K, P], before the rule."""
        if self.penalties and not self.proximal:
            self.penalties.add_slopes_(grads, flat)

    def after_(self, flat: Tensor, change: Tensor, lr: Sequence[float]) -> None:
        """What moves flat, [K, P], after the rule with its K rates. It is added to change, [K, P]."""
        if not self.project:
            return
        ruled = flat.clone()
        if self.penalties and self.proximal:
            self.penalties.shrink_(flat, lr)
        if self.limits:
            self.limits.apply_(flat)
        change += torch.sub(flat, ruled, out=ruled)

    def keep(self, index: Tensor) -> None:
        """Forget all trials but `index`, [k] int64."""
        for held in (self.penalties, self.limits):
            if held:
                held.keep(index)


def slices(layout: Layout, names: Collection[str]) -> list[slice]:
    """Where in a row the named parameters lie, neighbours joined."""
    found: list[slice] = []
    start = 0
    for name, shape in layout.shapes.items():
        stop = start + math.prod(shape)
        if name in names:
            begin = found.pop().start if found and found[-1].stop == start else start
            found.append(slice(begin, stop))
        start = stop
    return found


def _check_count(name: str, given: Sequence[object] | None, trials: int) -> None:
    if given is not None and (not isinstance(given, list | tuple) or len(given) != trials):
        got = f"{len(given)}" if isinstance(given, list | tuple) else repr(given)
        raise SettingError(
            f"{name} needs a list with one entry per trial, got {got} for {trials} trials: write None for a trial without."
        )


def _first(name: str, example: str, kind: type[Kind], given: Sequence[Kind | None]) -> Kind | None:
    """One of those given, on whose choice of parameters all agree; None when there is none."""
    present = [one for one in given if one is not None]
    for one in present:
        if not isinstance(one, kind):
            raise SettingError(f"{name} holds {one!r}; each entry is None or a {kind.__name__}: write {example}.")
    choices = {(tuple(one.include), tuple(one.exclude)) for one in present}
    if len(choices) > 1:
        raise SettingError(
            f"include and exclude of the {name} differ between stacked trials ({sorted(choices)}); "
            "only strengths may: give each choice of parameters a population of its own."
        )
    return present[0] if present else None


def _shared(values: Sequence[Any]) -> Hyper:
    """The float on which all trials agree, or one value each, [K, 1] float64."""
    return float(values[0]) if len(set(values)) == 1 else per_trial([float(value) for value in values])


def _taken(value: Hyper, index: Tensor) -> Hyper:
    return value[index.to(value.device)] if isinstance(value, Tensor) else value

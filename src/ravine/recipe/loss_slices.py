"""The loss around a trained network along the lines and the plane that its report draws, each beside what theory expects.

As many points as the time allows; what does not fit is left out and noted.

Letters in shapes: P parameters, T points of a line, U x T of a plane.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ravine.curvature import Curvature, Line, Objective, Plane, along_gradient, between, hessian, plane
from ravine.training import has_batch_norm

__all__ = ["Measured", "Slices", "Surface", "loss_slices", "other_than"]

LINE, LEAST_LINE = 31, 13  # points
SIDE, LEAST_SIDE = 17, 7  # points along each side of the plane
RISE = 1.0  # the plane reaches to where the quadratic has climbed by so many times the loss
BEYOND = 1.25  # the line along the gradient goes on for a quarter behind its furthest mark
FURTHEST = 6.0  # and to no more than so many largest stable rates
WAY = (-0.25, 1.25)  # from one model to another, and a little beyond both


@dataclass(frozen=True)
class Measured:
    """Losses along a line; predicted: those of the local quadratic at the same places, [T], or none."""

    line: Line
    predicted: tuple[float, ...] = ()

    def record(self) -> dict[str, Any]:
        return {**self.line.record(), "predicted": list(self.predicted)}


@dataclass(frozen=True)
class Surface:
    """Losses over the plane of the two top eigenvectors, which point downhill; positions are distances."""

    plane: Plane
    predicted: tuple[tuple[float, ...], ...]  # of the local quadratic, [U][T]
    eigenvalues: tuple[float, float]
    minimum: tuple[float, float] | None  # of the quadratic; None where it does not curve up

    def record(self) -> dict[str, Any]:
        return {
            **self.plane.record(),
            "predicted": [list(row) for row in self.predicted],
            "eigenvalues": list(self.eigenvalues),
            "minimum": None if self.minimum is None else list(self.minimum),
        }


@dataclass(frozen=True)
class Slices:
    """What was drawn; None: left out, and `notes` say why where that is not plain."""

    gradient: Measured | None
    eigenvectors: Surface | None
    between: Measured | None  # the model and another of its ensemble
    notes: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        parts = {"gradient": self.gradient, "eigenvectors": self.eigenvectors, "between": self.between}
        return {name: None if part is None else part.record() for name, part in parts.items()}


def loss_slices(
    objective: Objective,
    found: Curvature,
    other: nn.Module | None = None,
    *,
    deadline: float = math.inf,
) -> Slices:
    """Along the gradient, over the plane of the two top eigenvectors, and to `other`, a model of the same structure.

    found: the curvature of the same network on the same examples. deadline: time.monotonic.
    """
    began = time.monotonic()
    objective.loss()
    clock, notes = _Clock(deadline, time.monotonic() - began), []
    gradient = objective.gradient()
    along = _along_gradient(objective, gradient, found, clock) if clock.points(0.3) >= LEAST_LINE else None
    way = None
    if other is not None and (count := min(LINE, clock.points(0.3))) >= LEAST_LINE:
        places = _even(*WAY, (count - 1) // 6 * 6 + 1)  # sixths of the way, so that both models are among them
        line = between(objective.module, other, objective.split, objective.loss_function, places)
        way = Measured(line)
        if has_batch_norm(objective.module):
            notes.append("between two models, batch norm's running statistics are those of neither.")
    top = None
    if clock.points(1.0) >= LEAST_SIDE**2:
        top = _top_plane(objective, gradient, found, clock)
    if along is None or top is None or (way is None and other is not None):
        notes.append("loss slices that did not fit into the time were left out.")
    return Slices(along, top, way, tuple(notes))


@dataclass(frozen=True)
class _Clock:
    deadline: float
    each: float  # seconds for the loss at one point

    def points(self, share: float) -> int:
        """How many points fit into this share of the time left."""
        left = max(0.0, self.deadline - time.monotonic())
        return LINE**2 if math.isinf(left) else int(share * left / max(self.each, 1e-9))


def _along_gradient(objective: Objective, gradient: Tensor, found: Curvature, clock: _Clock) -> Measured | None:
    """The loss after one plain step, by its rate; None where the gradient is zero."""
    square = float(gradient @ gradient)
    if not square:
        return None
    bend = float(gradient @ hessian(objective, memory=0)(gradient[None])[0])
    limit = found.max_lr if math.isfinite(found.max_lr) else 1 / math.sqrt(square)
    back = 2 * square / bend if bend > 0 else math.inf  # the quadratic is as high there as at the start
    rates = _even(0.0, BEYOND * min(max(limit, back), FURTHEST * limit), min(LINE, clock.points(0.5)))
    line = along_gradient(objective, rates)
    return Measured(line, tuple(found.loss - rate * square + rate**2 * bend / 2 for rate in rates))


def _top_plane(objective: Objective, gradient: Tensor, found: Curvature, clock: _Clock) -> Surface | None:
    """Around the two eigenvectors of the largest eigenvalues; None where there is no time, or one parameter."""
    loss, pairs = found.loss, found.ends.largest.first(2)
    side = min(SIDE, (math.isqrt(clock.points(0.9)) - 1) // 2 * 2 + 1)  # odd: the network itself is in the middle
    if side < LEAST_SIDE or len(pairs) < 2:
        return None
    downhill = torch.where(pairs.vectors @ gradient > 0, -1.0, 1.0).to(gradient)
    vectors = downhill[:, None] * pairs.vectors
    (first, second), (here, there) = pairs.values.tolist(), (vectors @ gradient).tolist()
    columns, rows = (_around(value, slope, loss, first, side) for value, slope in ((first, here), (second, there)))
    measured = plane(objective, vectors[0], vectors[1], columns, rows, axes=("first eigenvector", "second eigenvector"))
    predicted = tuple(
        tuple(loss + here * s + there * t + (first * s**2 + second * t**2) / 2 for s in columns) for t in rows
    )
    bottom = (-here / first, -there / second) if second > 0 else None
    return Surface(measured, predicted, (first, second), bottom)


def _around(value: float, slope: float, loss: float, largest: float, count: int) -> list[float]:
    """Places from -w to w: where the quadratic has climbed by RISE times the loss, and its minimum well inside."""
    bend = max(abs(value), 1e-3 * abs(largest), 1e-12)
    width = max(math.sqrt(2 * RISE * abs(loss) / bend), 1.3 * abs(slope) / bend, 1e-6)
    return _even(-width, width, count)


def _even(first: float, last: float, count: int) -> list[float]:
    """`count` places at equal distances."""
    return [first + (last - first) * k / (count - 1) for k in range(count)]


def other_than(model: nn.Module, others: Sequence[nn.Module]) -> nn.Module | None:
    """The first of `others` with other weights than `model` in the same shapes, for there is a line between the two;
    None when there is none.
    """
    own = list(model.parameters())
    for other in others:
        theirs = list(other.parameters())
        alike = [p.shape for p in own] == [p.shape for p in theirs]
        if alike and not all(torch.equal(a, b) for a, b in zip(own, theirs, strict=True)):
            return other
    return None

"""How a notebook shows a schedule: its shape, small, beside what it prints as."""

from __future__ import annotations

from typing import Protocol

from ravine.schedules.point import needs_metrics, point_at

__all__ = ["Drawn"]

POINTS = 201


class _Shape(Protocol):
    def __call__(self, progress: float) -> float: ...


class Drawn:
    """Gives a schedule its picture in a notebook."""

    def _repr_html_(self: _Shape) -> str:
        from ravine.notebook import card, paragraph
        from ravine.notebook.shapes import curve

        points = [point_at(self, i / (POINTS - 1)) for i in range(POINTS)]
        said = "factor of the peak rate, from the first step to the end"
        if needs_metrics(self):
            said += "; as it is when no metric is told to it"
        momenta = {point.momentum for point in points if point.momentum is not None}
        if momenta:
            said += f"; momentum from {min(momenta):g} to {max(momenta):g}"
        growth = max(point.batch for point in points)
        if growth > 1:
            said += f"; the batch grows to {growth:g} times its size"
        return card(
            repr(self),
            [paragraph(curve([point.factor for point in points], label=repr(self))), paragraph(said, quiet=True)],
        )

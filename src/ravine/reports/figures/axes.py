"""Axes on a log scale that can also hold a zero, an absent value or a diverged trial at a marked place.

Positions are log10 of the value, or the place of a mark one tick outside the rest; the ticks carry the words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from ravine.reports.wording import number

__all__ = ["Scale", "decade_ticks", "finite", "log_axis", "loss_range", "power", "share_range"]


def power(exponent: int) -> str:
    """A power of ten as one writes a rate: 1e-5, 0.001, 1, 100.

    >>> [power(k) for k in (-5, -3, 0, 2)]
    ['1e-5', '0.001', '1', '100']
    """
    return f"{10.0**exponent:g}" if -3 <= exponent <= 3 else f"1e{exponent}"


def decade_ticks(low: float, high: float, most: int = 8) -> tuple[list[float], list[str]]:
    """Tick places (log10) and texts between two positive values; finer steps when few decades are shown.

    >>> decade_ticks(1e-4, 1e-1)
    ([-4, -3, -2, -1], ['1e-4', '0.001', '0.01', '0.1'])
    """
    first, last = math.log10(low), math.log10(high)
    if last - first <= 0.7:
        inside = round_ticks(low, high, about=5)
        return [math.log10(value) for value in inside], [number(value) for value in inside]
    if last - first <= 2.4:
        multiples = (1, 2, 5) if last - first <= 1.2 else (1, 3)
        steps = [m * 10.0**k for k in range(math.floor(first), math.ceil(last) + 1) for m in multiples]
        inside = [value for value in steps if first - 0.05 <= math.log10(value) <= last + 0.05]
        return [math.log10(value) for value in inside], [number(value) for value in inside]
    stride = max(1, math.ceil((last - first) / most))
    exponents = list(range(math.ceil(first - 1e-9), math.floor(last + 1e-9) + 1, stride))
    return [float(k) if k != int(k) else k for k in exponents], [power(k) for k in exponents]


@dataclass(frozen=True)
class Scale:
    """Places of values along one axis, with the axis' ticks and range."""

    places: list[float]
    ticks: list[float]
    texts: list[str]
    span: tuple[float, float]

    @classmethod
    def logarithmic(cls, values: Sequence[float | None], absent: str = "none") -> Scale:
        """log10 of positive values; zero stands at a tick "0" and None at a tick `absent`, both below the rest."""
        positive = [value for value in values if value is not None and value > 0]
        low, high = (min(positive), max(positive)) if positive else (1.0, 1.0)
        ticks, texts = decade_ticks(low, high) if positive else ([], [])
        return cls._with_marks(values, [math.log10(v) if v else None for v in values], ticks, texts, absent)

    @classmethod
    def linear(cls, values: Sequence[float | None], absent: str = "none") -> Scale:
        """The values themselves, with about six round ticks; None stands at a tick `absent` below the rest."""
        known = finite(values)
        ticks = round_ticks(min(known), max(known)) if known else []
        return cls._with_marks(values, list(values), ticks, [f"{tick:.6g}" for tick in ticks], absent)

    @classmethod
    def categorical(cls, values: Sequence[str]) -> Scale:
        """One place per text, in alphabetical order."""
        kinds = sorted(set(values))
        places = [float(kinds.index(value)) for value in values]
        return cls(places, [float(i) for i in range(len(kinds))], kinds, (-0.5, len(kinds) - 0.5))

    @classmethod
    def _with_marks(
        cls,
        values: Sequence[float | None],
        found: list[float | None],
        ticks: list[float],
        texts: list[str],
        absent: str,
    ) -> Scale:
        known = [place for place in found if place is not None]
        low, high = (min(known), max(known)) if known else (0.0, 0.0)
        gap = (high - low) * 0.12 or 0.5
        marks: dict[str, float] = {}
        for text, there in (
            ("0", any(v == 0 and f is None for v, f in zip(values, found, strict=True))),
            (absent, None in values),
        ):
            if there:
                marks[text] = low - gap * (len(marks) + 1) if known else -gap * len(marks)
        places = [
            place if place is not None else marks["0" if value == 0 else absent]
            for value, place in zip(values, found, strict=True)
        ]
        pad = (high - low) * 0.04 or 0.25
        span = (min(places, default=0.0) - pad, max(places, default=0.0) + pad)
        return cls(places, [*marks.values(), *ticks], [*marks, *texts], span)


def finite(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def round_ticks(low: float, high: float, about: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten that lie in [low, high]; the two ends when none does."""
    if high <= low:
        return [low]
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough)
    ticks = [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
    return [round(tick, 12) for tick in ticks] or [low, high]


def log_axis(figure: go.Figure, which: str, values: Sequence[float | None]) -> None:
    """Makes the axis "x" or "y" logarithmic, its ticks fit for these values; those not positive are not drawn."""
    positive = [value for value in finite(values) if value > 0]
    places, texts = decade_ticks(min(positive), max(positive)) if positive else ([], [])
    figure.update_layout(
        {f"{which}axis": {"type": "log", "tickvals": [10.0**place for place in places], "ticktext": texts}}
    )


def loss_range(losses: Sequence[float | None], start: float | None) -> list[float] | None:
    """The loss axis of a range test: from below the smallest loss to well above the loss at the start."""
    known = finite(losses)
    if not known or start is None:
        return None
    low, high = min(known), start * 1.5
    return [low - 0.06 * (high - low), high] if high > low else None


def share_range(values: Sequence[float | None]) -> list[float] | None:
    """The axis of an accuracy or r2: all of it down to -0.5, for a diverged r2 would flatten every curve."""
    known = finite(values)
    if not known:
        return None
    low, high = max(min(known), -0.5), max(known)
    pad = 0.05 * (high - low) or 0.05
    return [low - pad, high + pad]

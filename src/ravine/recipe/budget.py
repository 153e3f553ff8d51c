"""A wall-clock budget divided over the steps: what one step leaves, the later ones have."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence

from ravine.errors import SettingError

__all__ = ["Budget", "parse_duration"]

SHARES = {
    "train": 93,
    "initial-loss": 2,
    "overfit": 7,
    "diagnosis": 30,
    "lr-range": 15,
    "coarse": 26,
    "refine": 42,
    "curves": 1,
    "hand-back": 7,
    "inspect": 15,
}
"""Parts of a whole. The hand-back evaluates the winners and writes the report; diagnosis and inspect are there when asked for;
a diagnosis of what has failed takes what is left."""


class Budget:
    """Seconds from `started` (time.monotonic) until all must be done; None: no limit.

    steps: those that will be walked; the others get no share.
    """

    def __init__(
        self, seconds: float | None = None, *, started: float | None = None, steps: Sequence[str] = tuple(SHARES)
    ) -> None:
        self.seconds, self.steps = seconds, tuple(steps)
        self.started = time.monotonic() if started is None else started

    @property
    def spent(self) -> float:
        return time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until all must be done, at least 0; inf without a limit."""
        return math.inf if self.seconds is None else max(self.seconds - self.spent, 0.0)

    def deadline(self, step: str) -> float:
        """When this step must end (time.monotonic): its share of what is left of the budget, or all of it where the step was
        not planned and comes last.
        """
        if self.seconds is None:
            return math.inf
        if step not in self.steps:
            return time.monotonic() + self.left
        ahead = sum(SHARES[name] for name in self.steps[self.steps.index(step) :])
        return time.monotonic() + self.left * SHARES[step] / ahead


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds from '90', '60s', '5m', '1.5h', '1h30m'. Raises SettingError when it cannot be read.

    >>> parse_duration("1h30m"), parse_duration("90")
    (5400.0, 90.0)
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        seconds = float(text)
    else:
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
        if not parts or "".join(a + b for a, b in parts) != text.replace(" ", ""):
            raise SettingError(f"budget {text!r} cannot be read; write a number with a unit, such as 60s, 5m or 1.5h.")
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not 1 <= seconds < 1e8:
        raise SettingError(f"budget {text!r} is {seconds:g} s; it must be at least 1 s: write 60s or 5m.")
    return seconds

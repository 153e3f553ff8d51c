"""Step decay: the rate falls by a constant factor at equal distances."""

from __future__ import annotations

from dataclasses import dataclass

from ravine.errors import SettingError

__all__ = ["Step"]


@dataclass(frozen=True)
class Step:
    """factor ** (number of drops so far); `drops` of them cut training into drops + 1 equal parts.

    >>> Step(factor=0.5, drops=3)(0.0), Step(factor=0.5, drops=3)(0.25), Step(factor=0.5, drops=3)(0.99)
    (1.0, 0.5, 0.125)
    """

    factor: float = 0.1  # multiplies the rate at each drop, in (0, 1]
    drops: int = 2  # how many times it falls, >= 0

    def __post_init__(self) -> None:
        if not isinstance(self.factor, int | float) or not 0 < self.factor <= 1:
            raise SettingError(f"Step.factor is {self.factor!r}; it must lie in (0, 1]: 0.1 divides the rate by ten.")
        if not isinstance(self.drops, int) or self.drops < 0:
            raise SettingError(f"Step.drops is {self.drops!r}; it must be a whole number, 0 or more: write drops=2.")

    def __call__(self, progress: float) -> float:
        passed = min(int(progress * (self.drops + 1) + 1e-9), self.drops)
        return float(self.factor**passed)

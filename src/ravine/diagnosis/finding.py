"""One thing that is wrong with a training: its name in the catalogue, how sure we are, why, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["ALARM", "Finding", "grown"]

ALARM = 0.5
"""A confidence above it is an alarm: the training is not as it should be."""


@dataclass(frozen=True)
class Finding:
    """A fault and its cure.

    confidence: in [0, 1], how often a finding like this one is right; above `ALARM` it is an alarm. evidence: the figures
    that speak for it, as JSON. change: keywords of `diagnose` by which the advice is followed, where it can be said so.
    verified: what trying the cure has shown, in words; "" where it was not, or cannot be, tried.
    """

    fault: str
    confidence: float
    evidence: Mapping[str, Any]
    where: str  # a layer, a column, a row, a setting
    advice: str
    change: Mapping[str, Any] = field(default_factory=dict)
    verified: str = ""

    @property
    def alarm(self) -> bool:
        return self.confidence > ALARM

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "evidence": dict(self.evidence), "change": {k: str(v) for k, v in self.change.items()}}

    def __str__(self) -> str:
        said = f"{self.fault} ({self.confidence:.0%}, {self.where}): {self.advice}"
        return f"{said} Tried: {self.verified}." if self.verified else said


def grown(low: float, high: float, share: float) -> float:
    """A confidence that goes from `low` to `high` as what speaks for it goes from 0 to 1.

    >>> grown(0.5, 0.9, 0.5), grown(0.5, 0.9, 3.0)
    (0.7, 0.9)
    """
    return round(low + (high - low) * min(1.0, max(0.0, share)), 3)

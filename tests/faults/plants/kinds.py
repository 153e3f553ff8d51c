"""What a plant is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from ravine.diagnosis import Case

__all__ = ["Plant", "Severity"]

Severity = Literal["mild", "severe"]
Plant = Callable[[Case, Severity], Case | None]

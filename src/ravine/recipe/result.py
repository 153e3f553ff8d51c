"""What a run returns to Python, with the same fields as its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ravine.recipe.verdict import Verdict
from ravine.types import Metrics

__all__ = ["Best", "EnsembleResult", "Result"]


@dataclass(frozen=True)
class Best:
    """The best single model."""

    trial: int
    hyperparameters: dict[str, Any]
    validation: Metrics
    test: Metrics
    command: str  # trains these settings again


@dataclass(frozen=True)
class EnsembleResult:
    """The average of the best few models."""

    size: int
    members: list[int]  # trial numbers, best first
    validation: Metrics
    test: Metrics


@dataclass(frozen=True)
class Result:
    """One walk of the recipe. best and ensemble are None when a failed step stopped it."""

    steps: list[Verdict]
    best: Best | None
    ensemble: EnsembleResult | None
    trials: int
    seconds: float
    out: Path | None

    @property
    def failed(self) -> bool:
        """Did a step fail?"""
        return any(verdict.status == "fail" for verdict in self.steps)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "steps": [verdict.record() for verdict in self.steps],
            "best": None if self.best is None else dict(vars(self.best)),
            "ensemble": None if self.ensemble is None else dict(vars(self.ensemble)),
            "trials": self.trials,
            "seconds": round(self.seconds, 2),
            "out": None if self.out is None else str(self.out),
        }

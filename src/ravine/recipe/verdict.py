"""What a step of the recipe says, and on what grounds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ravine.types import Status

__all__ = ["STEPS", "Verdict"]

STEPS = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves")
"""The six steps, in order."""


@dataclass(frozen=True)
class Verdict:
    """One step's answer. A verdict carries its evidence; unsure is said as unsure."""

    step: str  # a name in STEPS
    status: Status
    summary: str  # one sentence
    evidence: dict[str, Any]  # numbers, as JSON
    advice: tuple[str, ...] = ()  # sentences that name the setting to change and to what
    seconds: float = field(default=0.0, compare=False)

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "advice": list(self.advice)}

    def _repr_html_(self) -> str:
        from ravine.notebook import badge, card, details, paragraph, table

        parts = [paragraph(badge(self.status, self.status), self.summary), *map(paragraph, self.advice)]
        figures = [table(list(self.evidence.items()))] if self.evidence else []
        return card(self.step, [*parts, details("evidence", figures)])

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Verdict:
        """A verdict from its record; a number that was not finite is None there."""
        return cls(**{**record, "advice": tuple(record["advice"])})

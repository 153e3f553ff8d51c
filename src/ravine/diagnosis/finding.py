"""One thing that is wrong with a training: its name in the catalogue, how sure we are, why, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

__all__ = ["ALARM", "Finding", "Findings", "grown"]

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

    def _repr_html_(self) -> str:
        return Findings([self])._repr_html_()

    def __str__(self) -> str:
        said = f"{self.fault} ({self.confidence:.0%}, {self.where}): {self.advice}"
        return f"{said} Tried: {self.verified}." if self.verified else said


class Findings(list[Finding]):
    """A list of findings, the root first, that a notebook shows so that it can be read: alarms, and the rest on demand."""

    def _repr_html_(self) -> str:
        from ravine.notebook import card, details

        alarms, rest = ([one for one in self if one.alarm is alarm] for alarm in (True, False))
        title = f"{len(alarms) or 'no'} alarm{'s' * (len(alarms) != 1)}" if len(self) != 1 else "1 finding"
        if not alarms:
            return card(title if rest else "nothing is wrong", [_shown(one) for one in rest])
        less = f"{len(rest)} less sure" if rest else ""
        return card(title, [*(_shown(one) for one in alarms), details(less, [_shown(one) for one in rest])])

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "nothing is wrong"


def _shown(finding: Finding) -> Markup:
    """One finding: what, where, how sure, what to do; its figures on demand."""
    from ravine.notebook import badge, details, paragraph, table

    word, kind = ("alarm", "fail") if finding.alarm else ("perhaps", "quiet")
    parts = [
        paragraph(badge(word, kind), finding.fault, f"({finding.confidence:.0%}, {finding.where})"),
        paragraph(finding.advice),
    ]
    if finding.verified:
        parts.append(paragraph(f"Tried: {finding.verified}.", quiet=True))
    parts.append(details("evidence", [table(list(finding.evidence.items()))] if finding.evidence else []))
    return Markup('<div style="margin: 6px 0">{}</div>').format(Markup().join(parts))


def grown(low: float, high: float, share: float) -> float:
    """A confidence that goes from `low` to `high` as what speaks for it goes from 0 to 1.

    >>> grown(0.5, 0.9, 0.5), grown(0.5, 0.9, 3.0)
    (0.7, 0.9)
    """
    return round(low + (high - low) * min(1.0, max(0.0, share)), 3)

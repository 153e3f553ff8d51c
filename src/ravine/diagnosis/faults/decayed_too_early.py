"""decayed-too-early: the schedule has taken the rate away while there was still much to learn.

Symptom: the loss falls quickly and then stands still from one epoch to the next, at a value it should have passed.
Why: after the rate has fallen to some hundredths nothing moves any more, so that all the later epochs are spent for nothing;
the network is left where it was after the first of them. It looks as if it could not learn more, or had too little capacity.
Found: over more than half of the steps the schedule's factor is below a twentieth of its largest, the run has missed skill that
can be had, and the same run at a constant rate has it.
Cure: a constant rate, or a schedule that falls in the last half only, as a cosine does.
Source: Li, Wei and Ma 2019, Towards Explaining the Regularization Effect of Initial Large Learning Rate in Training Neural
Networks; Loshchilov and Hutter 2017, SGDR.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import Cure, believed, cure, harmed
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "alive", "find", "tried"]

EXPLAINS = (
    "lr-too-low",
    "too-few-epochs",
    "under-fitting",
    "capacity-too-small",
    "vanishing-gradient",
    "batch-too-large",
)
LOW = 0.05  # share of its largest factor below which a rate hardly moves anything
EARLY = 0.5
"""Share of the steps with a rate above LOW. The usual schedules keep it longer: cosine 0.86, exponential to a hundredth 0.65,
steps of a tenth at 0.5 and 0.75 0.75, one cycle 0.8."""

POINTS = 200


def alive(look: Look) -> float:
    """Share of the steps at which the schedule leaves a twentieth of the rate or more, in [0, 1]."""
    factors = [look.case.factor(point, POINTS) for point in range(POINTS)]
    peak = max(factors)
    return sum(factor >= LOW * peak for factor in factors) / POINTS if peak > 0 else 0.0


def tried(look: Look) -> Cure | None:
    """The case at a constant rate; None where the schedule does not fall early or nothing was lost."""
    if look.case.schedule is None or alive(look) >= EARLY or not harmed(look):
        return None
    return cure(look, {"schedule": None}, "a constant rate", odd=1.0 if alive(look) < 0.35 else 0.6)


def find(look: Look) -> Iterator[Finding]:
    found = tried(look)
    if found is None:
        return
    share = alive(look)
    yield Finding(
        "decayed-too-early",
        believed(found),
        {"share_of_steps_with_a_rate": share, "last_factor": look.case.factor(POINTS - 1, POINTS), **found.evidence},
        "schedule",
        f"Set schedule=None, or one that falls late: the rate is gone after {share:.0%} of the steps.",
        found.change,
        found.verified,
    )

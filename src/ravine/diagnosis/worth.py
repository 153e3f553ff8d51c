"""What a cure that was tried is worth: the skill it brings on either split, in figures, in words, and as a confidence."""

from __future__ import annotations

import math

from ravine.diagnosis.trace import Trace

__all__ = ["figure", "gain", "held_improvement", "improvement", "in_words", "sure"]


def gain(before: Trace, after: Trace) -> float:
    """By how much more of the skill on training rows `after` has than `before`, at their ends."""
    if not after.finite:
        return 0.0
    was = before.train.skill if before.finite and math.isfinite(before.train.skill) else 0.0
    return after.train.skill - max(was, 0.0)


def improvement(before: Trace, after: Trace) -> float:
    """By how much of the skill `after` ends higher, on training or on held-out rows, whichever is more; 0 where it fails."""
    if not after.finite:
        return 0.0
    was = before.train.skill if before.finite else 0.0
    return max(_risen(was, after.train.skill), held_improvement(before, after))


def held_improvement(before: Trace, after: Trace) -> float:
    """Likewise on held-out rows alone."""
    return _risen(before.held.skill if before.finite else 0.0, after.held.skill) if after.finite else 0.0


def _risen(was: float, now: float) -> float:
    """Skills below 0 count as 0, for both know nothing; so does one that is not a number."""
    return (max(now, 0.0) if math.isfinite(now) else 0.0) - (max(was, 0.0) if math.isfinite(was) else 0.0)


def in_words(before: Trace, after: Trace) -> str:
    """What trying a cure has shown: "accuracy on held-out rows 0.97 instead of 0.31"."""
    name = "accuracy" if after.case.task == "classification" else "r2"
    was = f"{before.held.metric:.2f}" if before.finite else "a loss that is not finite"
    return f"{name} on held-out rows {after.held.metric:.2f} instead of {was}"


def sure(gain: float, *, least: float = 0.6, most: float = 0.95) -> float:
    """Confidence of a cure that was tried: from `least` for no gain to speak of to `most` for 0.3 of the skill and more.

    >>> round(sure(0.15), 3), sure(1.0)
    (0.775, 0.95)
    """
    return least + (most - least) * min(1.0, max(0.0, gain) / 0.3)


def figure(value: float) -> float | None:
    """A figure as JSON can hold it: None where it is not finite."""
    return value if math.isfinite(value) else None

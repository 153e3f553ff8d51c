"""Which trials of a search may be compared with each other: drawn from the same ranges and trained equally long.

After successive halving few trials have come to the end, and those are the good ones. What can be learnt about
hyper-parameters is learnt at the step that most trials reached: the first rung, where all were still there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

__all__ = ["Compared", "comparable", "same_ranges"]


@dataclass(frozen=True)
class Compared:
    """A trial and its value at the common step. worth: larger is better, -inf where it diverged; None: the value is not finite."""

    number: int
    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    value: float | None  # accuracy, or rmse
    worth: float
    given: bool  # its values were chosen beforehand, not drawn


def comparable(trials: Sequence[FrozenTrial], phase: str, *, maximize: bool) -> tuple[int | None, list[Compared]]:
    """The step that most trials of a phase reached (of several the last) and how each did there, by number.

    Trials that did not come so far are left out. (None, []) when none reported anything.
    """
    ours = [t for t in trials if t.user_attrs.get("phase") == phase]
    reached = Counter(step for t in ours for step in t.intermediate_values)
    if not reached:
        return None, []
    step = max(reached, key=lambda step: (reached[step], step))
    return step, [_compared(t, step, maximize) for t in ours if step in t.intermediate_values]


def _compared(trial: FrozenTrial, step: int, maximize: bool) -> Compared:
    value = trial.intermediate_values[step]
    finite = math.isfinite(value)
    return Compared(
        trial.number,
        dict(trial.params),
        dict(trial.distributions),
        value if finite else None,
        (value if maximize else -value) if finite else -math.inf,
        "given" in trial.user_attrs,
    )


def same_ranges(trials: Sequence[Compared]) -> list[Compared]:
    """Those of the largest group with the same optimizer and the same ranges; of equal groups the one with the best trial."""
    groups: dict[str, list[Compared]] = {}
    for trial in trials:
        ranges = sorted((name, repr(d)) for name, d in trial.distributions.items())
        groups.setdefault(repr((trial.params.get("optimizer"), ranges)), []).append(trial)
    return max(groups.values(), key=lambda group: (len(group), max(t.worth for t in group)), default=[])

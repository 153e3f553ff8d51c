"""oscillating-loss: the loss goes up and down for ever instead of settling, though much has been learnt.

Symptom: losses swing from step to step by much of what was won since the start, and their mean no longer falls; the last epoch
is as good or bad as chance has it.
Why: at the edge of stability a step is as long as the valley is wide. The network is thrown from one side to the other, and
stays about as high above the bottom as the rate is too large; a lower rate settles.
Found: over the last quarter the losses spread by 6 % of the first loss or more and do not fall, and at a tenth of the rate both
the spread and the level are less than half; or with batches of all rows the loss goes up and down by turns. Where much of the skill
is missed it is told as lr-too-high.
Cure: a lower rate for the end: a third to a tenth of it, or a schedule that falls to 0.
Source: Cohen et al. 2021, Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability; Robbins and Monro 1951 (a
constant rate does not settle).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from statistics import fmean, pstdev

from ravine.diagnosis.cures import Cure, cure, part
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["alternating", "find", "spread"]

SPREAD = 0.06
"""Of the loss of the training rows before the first step. Healthy calibrating tasks have 0.002 to 0.013, and up to 0.05 at three
times the best rate (n = 8); rates of ten to thirty times the healthy one, which cost little skill yet, 0.05 to 0.18."""

FALLING = (
    3.0  # times the last quarter's mean that the quarter before may be above: spikes make it 1.5 to 1.8 without a trend
)
LAST = 0.25  # of the steps
STEPS = 40  # fewer tell nothing
SETTLED = 0.5


def spread(losses: list[float]) -> tuple[float, float, float]:
    """(standard deviation over the last quarter, its mean, the mean of the quarter before over that)."""
    count = max(1, int(LAST * len(losses)))
    last, before = losses[-count:], losses[-2 * count : -count]
    level = fmean(last)
    return pstdev(last), level, fmean(before or last) / max(level, 1e-30)


def alternating(look: Look) -> bool:
    """Whether batches of all rows have a loss that goes up and down by turns, by 2 % or more, and does not fall."""
    base = look.base
    last = base.losses[-max(10, int(LAST * len(base.losses))) :]
    if not base.finite or look.case.steps_per_epoch > 1 or len(base.losses) < STEPS:
        return False
    steps = [b - a for a, b in pairwise(last)]
    turns = sum(a * b < 0 for a, b in pairwise(steps)) / max(1, len(steps) - 1)
    level = fmean(map(abs, last))
    return turns > 0.8 and fmean(map(abs, steps)) > 0.02 * level and last[-1] > 0.5 * last[0]


def swinging(look: Look) -> bool:
    base = look.base
    if not base.finite or len(base.losses) < STEPS:
        return False
    wide, _, before = spread(base.losses)
    return wide > SPREAD * abs(base.marks[0].train.loss) and before < FALLING


def find(look: Look) -> Iterator[Finding]:
    turns = alternating(look)
    if not turns and not swinging(look):
        return
    found = _tenth(look)
    if found is None or not math.isfinite(found.run.last.train.loss) or not found.run.finite:
        return
    wide, level, _ = spread(look.base.losses)
    calm, lower_level, _ = spread(found.run.losses)
    quieter, deeper = 1 - calm / max(wide, 1e-30), 1 - lower_level / max(level, 1e-30)
    if min(quieter, deeper) < (0.0 if turns else SETTLED):
        return
    lr = found.change["lr"]
    yield Finding(
        "oscillating-loss",
        0.9 if turns else 0.55 + 0.2 * part(min(quieter, deeper) - SETTLED, 0.4),
        {
            "spread": wide,
            "level": level,
            "first_loss": look.base.marks[0].train.loss,
            "spread_at_lower_rate": calm,
            "level_at_lower_rate": lower_level,
        },
        "lr",
        f"Set lr to {lr:g} instead of {look.case.lr:g}, or let a schedule bring it to 0.",
        found.change,
        f"the loss has spread {calm:.2g} about {lower_level:.2g} instead of {wide:.2g} about {level:.2g} with lr {lr:g}",
    )


def _tenth(look: Look) -> Cure | None:
    lr = float(f"{look.case.lr / 10:.3g}")
    return cure(look, {"lr": lr}, f"lr {lr:g}", odd=0.0, short=True)

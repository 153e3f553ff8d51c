"""lr-too-high: the steps are longer than the loss surface allows.

Symptom: the loss is NaN, grows, jumps, or stands still at the value of guessing after a leap in the first steps; ReLU units die.
Why: along a direction of curvature h descent is stable for rates below 2 / h only. Above, each step lands higher on the other
side than the last one was; the network is thrown to where gradients are useless, flat and dead or huge.
Found: the run has missed skill that can be had, its loss did not go down smoothly, and the same run at a tenth, a hundredth and so on
of the rate has it, while no other setting that is odd by itself (momentum, batch) is to blame.
Cure: the rate that was found to work; a warm-up where it is only the beginning that jumps.
Source: LeCun et al. 1998, Efficient BackProp (the largest stable rate); Bengio 2012, Practical recommendations for
gradient-based training of deep architectures (the rate is the first thing to tune); Cohen et al. 2021 (edge of stability).
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import believed, odd_elsewhere
from ravine.diagnosis.faults.oscillating_loss import alternating
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.particular import particular
from ravine.diagnosis.rates import lower

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "dead-units",
    "saturated-units",
    "exploding-gradient",
    "oscillating-loss",
    "under-fitting",
    "capacity-too-small",
    "vanishing-gradient",
    "train-eval-mismatch",
    "over-regularized",
    "too-few-epochs",
)
SECOND = 0.6  # where inputs, targets or outputs are of an odd size, which is then more likely the root
OTHER = 0.45  # the loss only alternates: it is told as oscillating


def find(look: Look) -> Iterator[Finding]:
    if particular(look) is not None:
        return
    found = lower(look)
    if found is None:
        return
    base, lr = look.base, found.change["lr"]
    sure = believed(found)
    if odd_elsewhere(look):
        sure = min(sure, SECOND)
    if alternating(look):
        sure = min(sure, OTHER)
    yield Finding(
        "lr-too-high",
        sure,
        {"lr": look.case.lr, "first_loss": base.losses[0], "largest_loss": _largest(base.losses), **found.evidence},
        "lr",
        f"Set lr to {lr:g} instead of {look.case.lr:g}.",
        found.change,
        found.verified,
    )


def _largest(losses: list[float]) -> float | None:
    """The largest loss that is a number."""
    return max((loss for loss in losses if loss == loss and abs(loss) != float("inf")), default=None)

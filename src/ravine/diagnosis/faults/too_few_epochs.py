"""too-few-epochs: the training was stopped while it was still getting better.

Symptom: the loss is falling at the last step as it was before; training and held-out rows are alike not yet well known.
Why: a rate that is as large as is stable goes only so far in a step, so that some number of steps is needed; a small data set has
few in an epoch.
Found: the run has missed skill that can be had, the loss of the training rows fell until the end, and more epochs of the same reach
it, while the rate is a usual one and no higher one reaches as much in the same time.
Cure: ten times the epochs, stopping early when the held-out rows are no longer known better.
Source: Bengio 2012, Practical recommendations for gradient-based training of deep architectures (early stopping); Hoffer, Hubara
and Soudry 2017, Train longer, generalize better.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import believed, odd_elsewhere
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.particular import particular
from ravine.diagnosis.rates import FEW, hasty, higher, longer

__all__ = ["EXPLAINS", "find"]

EXPLAINS = ("under-fitting", "capacity-too-small", "lr-too-low")
SECOND = 0.6  # where inputs, targets or outputs are of an odd size, which is then more likely the root
OTHER = 0.45  # a higher rate does as much


def find(look: Look) -> Iterator[Finding]:
    if particular(look) is not None:
        return
    rate = higher(look)
    if rate is not None and rate.works and (not look.case.epochs <= FEW or not hasty(look)):
        return  # it is lr-too-low, and need not be tried for longer
    found = longer(look)
    if found is None:
        return
    epochs = look.case.epochs
    sure = believed(found)
    if odd_elsewhere(look):
        sure = min(sure, SECOND)
    yield Finding(
        "too-few-epochs",
        sure,
        {"epochs": epochs, "steps": look.case.steps, "last_loss": look.base.losses[-1], **found.evidence},
        "epochs",
        f"Train for {found.change['epochs']} epochs instead of {epochs}.",
        found.change,
        found.verified,
    )

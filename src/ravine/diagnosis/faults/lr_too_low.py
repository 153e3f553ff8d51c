"""lr-too-low: the steps are so short that the training ends on its way.

Symptom: the loss falls smoothly and very slowly, and is still falling at the end; training and held-out rows are alike badly known.
Why: the way from where a network begins to where it is good has a length, and steps times rate must cover it. A hundredth of the
rate needs a hundred times the epochs, and weak directions are hardly learnt at all.
Found: the run has missed skill that can be had, its loss never jumped, and the same run at ten, a hundred or a thousand times the
rate has it, while no other setting that is odd by itself (epsilon, schedule, batch) is to blame and not the epochs either.
Cure: the rate that was found to work; then search around it by factors of three.
Source: Bengio 2012, Practical recommendations for gradient-based training of deep architectures; Smith 2017, Cyclical Learning
Rates for Training Neural Networks (the range test).
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import believed, odd_elsewhere
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.particular import particular
from ravine.diagnosis.rates import hasty, higher

__all__ = ["EXPLAINS", "find"]

EXPLAINS = ("too-few-epochs", "under-fitting", "capacity-too-small", "batch-too-large")
SECOND = 0.6  # where inputs, targets or outputs are of an odd size, which is then more likely the root
OTHER = 0.45  # more epochs do as much


def find(look: Look) -> Iterator[Finding]:
    if particular(look) is not None:
        return
    found = higher(look)
    if found is None:
        return
    lr = found.change["lr"]
    sure = believed(found)
    if odd_elsewhere(look):
        sure = min(sure, SECOND)
    if hasty(look):
        sure = min(sure, OTHER)
    yield Finding(
        "lr-too-low",
        sure,
        {"lr": look.case.lr, "first_loss": look.base.losses[0], "last_loss": look.base.losses[-1], **found.evidence},
        "lr",
        f"Set lr to {lr:g} instead of {look.case.lr:g}.",
        found.change,
        found.verified,
    )

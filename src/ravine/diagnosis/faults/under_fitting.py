"""under-fitting: the training rows themselves are predicted far worse than a plain network predicts them, for no reason found.

Symptom: training and held-out scores are alike and low, and the loss has stopped falling.
Why: something keeps the model from fitting: it is too small or sees too little of its inputs, it is held too tightly, or it
was not trained long or fast enough. A fault with a name of its own is told before this one.
Found: a network of two hidden layers on standardized inputs predicts both training and held-out rows of the same data better, by
a fifth and by a tenth of the skill. It is the last thing to be thought of: confidence stays at 0.6.
Cure: more units, less regularization, more epochs, a higher rate, in this order; look at what the model does with its inputs.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, chapter 5.2; Geman et al. 1992, Neural networks and the
bias/variance dilemma.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find"]

EXPLAINS: tuple[str, ...] = ()

TRAIN = 0.2  # of the skill on training rows that the reference has more
HELD = 0.1  # likewise on held-out rows: what is only learnt by heart is not missed
CONFIDENCE = 0.55


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or not (look.base.finite and look.reference.marks):
        return
    ahead = look.reference.best_held().held.skill - max(look.base.held.skill, 0.0)
    if look.under < TRAIN or ahead < HELD:
        return
    surer = 0.05 if look.under > 2 * TRAIN and ahead > 2 * HELD else 0.0
    yield Finding(
        "under-fitting",
        CONFIDENCE + surer,
        {"train_skill": look.base.train.skill, "reference_train_skill": look.fitted, "held_skill_missed": ahead},
        "model",
        "Give the model twice the units, or train it longer: a plain network of 64 x 64 units fits these rows "
        f"with a skill of {look.fitted:.2f} instead of {max(look.base.train.skill, 0.0):.2f}.",
    )

"""over-fitting: training goes on long after the held-out rows have begun to be predicted worse.

Symptom: the training loss goes to 0 while that of held-out rows, after a minimum early on, rises to a multiple of it, and the
held-out score falls behind its best.
Why: a network with many more weights than rows has room for each row's noise. Once what the rows have in common is learnt, the
loss can fall only by learning what sets them apart, which is of no use for others.
Found: the held-out loss ends far above its minimum, counted in what a model that knows nothing would lose, the minimum lies in the
first two thirds, training rows are predicted much better than held-out ones, and the held-out rows were predicted clearly better
at the minimum, or the loss has risen by more than a model that knows nothing would pay.
Cure: stop at the minimum; weight decay, dropout, a smaller network; more rows or augmentation.
Source: Prechelt 1998, Early stopping - but when?; Geman et al. 1992, Neural networks and the bias/variance dilemma.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.worth import in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = ("oscillating-loss", "lr-too-high", "lr-too-low", "batch-too-small", "batch-too-large")

# On 65 healthy trainings of the corpus the held-out loss rises by 0.03 of that of a model that knows nothing at most; on small
# tables (sonar, ionosphere; 150 to 250 rows) by up to 0.3 and to 2.6 times its minimum, at a gap of 0.23 of the skill at most, which
# a person lets pass; on 6 planted ones by 0.1 to 3.6 and to 1.25 to 5 times, at a gap of 0.28 and more.
GAP = 0.26  # of the skill, between training and held-out rows
SOME = 0.15  # a gap worth a word
LATEST = 0.67  # of the training, by which the minimum lies
RISE = 0.1  # of the loss of a model that knows nothing
TIMES = 1.2  # the minimum
LOST = 0.05  # of the skill, since the minimum
FITTED = 0.6  # skill on training rows


def find(look: Look) -> Iterator[Finding]:
    marks = [mark for mark in look.base.marks if math.isfinite(mark.held.loss)]
    if look.start.raised or not look.base.finite or len(marks) < 4:
        return
    last, best = marks[-1], min(marks, key=lambda mark: mark.held.loss)
    nothing = _nothing(look)
    rise = (last.held.loss - best.held.loss) / nothing
    lost = max(mark.held.skill for mark in marks) - last.held.skill
    gap = last.train.skill - last.held.skill
    if last.train.skill < FITTED or gap < SOME or best.step > LATEST * last.step or rise < RISE / 2:
        return
    evidence = {
        "held_loss_least": best.held.loss,
        "held_loss_last": last.held.loss,
        "least_at_step": best.step,
        "skill_lost": lost,
        "gap": gap,
    }
    epochs = max(1, round(best.step / look.case.steps_per_epoch))
    confidence, said = 0.35, ""
    if gap > GAP and rise > RISE and (lost > LOST or last.held.loss > TIMES * best.held.loss):
        confidence = sure(max(rise, lost), least=0.65)
        if not look.hurried:
            said = in_words(look.base, look.tried(epochs=epochs))
    yield Finding(
        "over-fitting",
        confidence,
        evidence,
        "epochs",
        f"Stop after {epochs} epochs, where the held-out loss was {best.held.loss:.3g}; it ended at {last.held.loss:.3g}.",
        {"epochs": epochs},
        said,
    )


def _nothing(look: Look) -> float:
    """The held-out loss of a model that knows nothing: the entropy of the classes, or the loss the untrained one began with."""
    case = look.case
    if case.task == "classification" and isinstance(case.loss, str):
        counts = case.labels[case.labels >= 0].bincount().double()
        shares = counts[counts > 0] / counts.sum()
        return max(0.1, -float((shares * shares.log()).sum()))
    if case.loss == "mse":
        return max(1e-12, float(case.held_y.float().var()))
    return max(1e-12, abs(look.base.marks[0].held.loss))

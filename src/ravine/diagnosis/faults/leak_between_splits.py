"""leak-between-splits: held-out rows are training rows too.

Symptom: a score on held-out rows that is too good, and as good as on the training rows; it does not hold in use.
Why: a row that was learnt by heart is answered by heart. Rows get into both splits by duplicates in the source, by repeating or
augmenting rows before the split, or by giving the same rows twice.
Found: held-out rows are looked up among the training rows, bit for bit, and by distance: much nearer than training rows are to
each other. What chance gives in tables of a few categories, where rows agree by nature, is taken off.
Cure: remove duplicates before the split; repeat and augment after it, in the training rows only.
Source: Kaufman et al. 2012, leakage in data mining; Barz & Denzler 2020, do we train on test data? (near-duplicates of CIFAR).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.trace import outputs, score

__all__ = ["EXPLAINS", "find"]

EXPLAINS = ("label-noise", "split-shift")

SHARE = 0.04  # CIFAR-100's own test set has 10 %, CIFAR-10's 3.3 % (Barz & Denzler); banknotes of a random split 2 %
FEW = 4


def find(look: Look) -> Iterator[Finding]:
    case = look.case
    if not len(case.held_x):
        return
    both, chance = look.leaked
    count, share = int(both.sum()), float(both.float().mean())
    excess = share - chance
    # where rows agree by chance, twice as many as that is still chance
    if count < FEW or share < 0.02 or (chance and share < 2 * chance + SHARE):
        return
    change: dict[str, Any] = {}
    kept = ~both
    if int(kept.sum()) >= max(10, 0.2 * len(both)):
        change = {"held_x": case.held_x[kept], "held_y": case.held_y[kept]}
    yield Finding(
        "leak-between-splits",
        min(0.97, 0.4 + 0.15 * min(1.0, excess / SHARE) + 0.45 * min(1.0, excess / 0.15)),
        {"leaked": count, "share": share, "by_chance": chance, "first_row": int(both.nonzero()[0])},
        "the held-out rows",
        f"Take the {count} held-out rows out that are training rows too (the first is row {int(both.nonzero()[0])}); "
        "remove duplicates before the split.",
        change,
        _said(look, both),
    )


def _said(look: Look, both: torch.Tensor) -> str:
    """The score on the rows that are not in both, where there are enough of them."""
    case, model = look.case, look.base.model
    if int((~both).sum()) < 10 or model is None or not look.base.finite:
        return ""
    with torch.no_grad():
        alone = score(case, outputs(model.eval(), case.held_x[~both]), case.held_y[~both])
    return f"without them the metric is {alone.metric:.3f} instead of {look.base.held.metric:.3f}"

"""batch-too-small: a step looks at so few rows that it follows their chance and not the loss of all.

Symptom: the loss jumps from step to step and does not settle; batch normalization makes it worse, or raises an error for one row.
Why: the noise of a gradient falls with the square root of the batch. At a rate that suits 32 rows, steps on one or two of
them are mostly noise, and what one row teaches the next undoes; the mean and variance of two rows normalize nothing.
Found: a batch has four rows or fewer, the run has missed skill that can be had, and the same run with batches of 32 has it.
Cure: batches of 16 rows or more; or, where memory forbids it, a rate lowered with the batch, and gradients added up over steps.
Source: McCandlish et al. 2018, An Empirical Model of Large-Batch Training (the noise scale); Wu and He 2018, Group Normalization
(batch normalization of small batches); Goyal et al. 2017 (rate and batch together).
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import Cure, believed, cure, harmed
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["EXPLAINS", "find", "tried"]

EXPLAINS = (
    "lr-too-high",
    "oscillating-loss",
    "momentum-too-high",
    "train-eval-mismatch",
    "exploding-gradient",
    "dead-units",
    "saturated-units",
    "under-fitting",
    "over-regularized",
    "capacity-too-small",
    "samples-mixed-in-batch",
)
SMALL = 4  # rows; 8 and more are healthy on all calibrating tasks
ENOUGH = (32, 8)
ONE_ROW = "more than 1 value per channel"  # what batch normalization says to a batch of one row


def tried(look: Look) -> Cure | None:
    """The best of batches of 32 and 8 rows; None where its own are not small or nothing was lost."""
    if look.case.batch_size > SMALL or not (harmed(look) or refused(look)):
        return None
    best: Cure | None = None
    for size in ENOUGH:  # fewer steps are taken with 32: where few epochs were asked for, 8 can be better
        if size <= len(look.case.x) // 4 and (best is None or not best.works):
            found = cure(
                look, {"batch_size": size}, f"batches of {size}", odd=1.0 if look.case.batch_size <= 2 else 0.5
            )
            best = found if best is None or (found is not None and found.gain > best.gain) else best
    return best


def refused(look: Look) -> bool:
    """Whether batch normalization cannot train on one row."""
    return look.case.batch_size == 1 and ONE_ROW in look.base.raised


def find(look: Look) -> Iterator[Finding]:
    found = tried(look)
    if found is None:
        return
    size = look.case.batch_size
    yield Finding(
        "batch-too-small",
        0.97 if refused(look) else believed(found),
        {"batch_size": size, "raised": look.base.raised, **found.evidence},
        "batch_size",
        f"Set batch_size to {found.change['batch_size']} instead of {size}.",
        found.change,
        found.verified,
    )

"""batch-too-large: a batch holds so much of the data that there are hardly any steps.

Symptom: the loss falls a little with each epoch, smoothly, and the training ends long before it is done.
Why: an epoch of N rows has N / batch steps, and a larger batch makes a step surer, not longer. Beyond the noise scale it saves no
steps at all: a training of so many epochs is then shorter by as much as the batch is larger.
Found: a batch holds a seventh of the rows or more, the run has missed skill that can be had, and the same run, same epochs and
rate, with batches of 32 has it.
Cure: batches of 32 to 128 rows; or more epochs, or a rate raised with the batch.
Source: McCandlish et al. 2018, An Empirical Model of Large-Batch Training; Masters and Luschi 2018, Revisiting Small Batch
Training for Deep Neural Networks; Keskar et al. 2017.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import Cure, believed, cure, harmed, part
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.rates import risen

__all__ = ["EXPLAINS", "find", "tried"]

EXPLAINS = ("lr-too-low", "too-few-epochs", "under-fitting", "capacity-too-small", "vanishing-gradient")
LARGE = 1 / 7  # of the rows: fewer than eight steps an epoch
ODD = 1 / 2  # of the rows: hardly anybody means it
USUAL = 32


def tried(look: Look) -> Cure | None:
    """The case with batches of 32 rows; None where its own are not large or nothing was lost, or it did not go downwards."""
    rows = len(look.case.x)
    size = min(look.case.batch_size, rows)
    usual = min(USUAL, max(4, rows // 8))
    if size < max(2 * usual, LARGE * rows) or not harmed(look) or risen(look):
        return None
    return cure(look, {"batch_size": usual}, f"batches of {usual}", odd=part(size / rows, ODD) - 0.1)


def find(look: Look) -> Iterator[Finding]:
    found = tried(look)
    if found is None:
        return
    rows, size = len(look.case.x), look.case.batch_size
    share = min(1.0, size / rows)
    yield Finding(
        "batch-too-large",
        believed(found),
        {"batch_size": size, "share_of_rows": round(share, 4), "steps": look.case.steps, **found.evidence},
        "batch_size",
        f"Set batch_size to {found.change['batch_size']} instead of {size}: there are only {look.case.steps} steps.",
        found.change,
        found.verified,
    )

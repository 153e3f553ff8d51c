"""gradients-not-cleared: each step's gradient is added to those of all steps before.

Symptom: training swings and runs away at rates that should do, later and later parts of it worse.
Why: backward() adds to .grad; without zero_grad() between two steps the sum over all batches so far is used, which is a momentum
of 1: nothing is ever forgotten.
Found: over the first nine steps, a gradient that has been stepped with is still there when the next batch comes. A gradient kept
over batches without a step between them is accumulation, which is no fault.
Cure: optimizer.zero_grad() before every backward pass that begins a new step.
Source: PyTorch documentation, Zeroing out gradients in PyTorch; Humbatova et al. 2020, taxonomy of real faults.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.symptoms import SYMPTOMS

__all__ = ["EXPLAINS", "find"]

EXPLAINS = SYMPTOMS


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or not look.stepping.kept > 0:
        return
    yield Finding(
        "gradients-not-cleared",
        grown(0.85, 0.98, look.stepping.kept),
        {"steps_with_an_old_gradient": look.stepping.kept},
        "the optimizer's zero_grad",
        "Clear the gradients before every step: optimizer.zero_grad().",
    )

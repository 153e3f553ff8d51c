"""epsilon-too-large: the epsilon of an Adam-like rule is as large as the gradients it divides by.

Symptom: training is slow, as with a rate that is far too low, and slower the smaller the gradients become.
Why: Adam divides each step by sqrt(v) + eps. Where eps is above sqrt(v), which is often 1e-3 and below, the step shrinks to
lr * m / eps: it follows the size of the gradient again, and a rate that was chosen for Adam does nearly nothing.
Found: eps is 1e-4 or above, the run has missed skill that can be had, and the same run with eps of 1e-8 has it.
Cure: eps 1e-8, the default; or a rate that is larger by as much, if the large eps is wanted.
Source: Kingma and Ba 2015, Adam, algorithm 1; Choi et al. 2019, On Empirical Comparisons of Optimizers for Deep Learning
(eps and the rate have to be tuned together).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ravine.diagnosis.cures import Cure, believed, cure, harmed, part
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.rates import options
from ravine.diagnosis.regrouped import regrouped

__all__ = ["EXPLAINS", "find", "tried"]

EXPLAINS = (
    "lr-too-low",
    "too-few-epochs",
    "under-fitting",
    "capacity-too-small",
    "vanishing-gradient",
    "batch-too-large",
    "decayed-too-early",
)
LARGE = 1e-4
"""Ten thousand times the default of 1e-8, and where an entry's gradient of a healthy small network begins to be reached: the
calibrating tasks lose nothing at 1e-3, 0.1 of skill between 1e-2 and 1."""

DEFAULT = 1e-8


def tried(look: Look) -> Cure | None:
    """The case with the default epsilon; None where its own is not large or nothing was lost."""
    eps = options(look).get("eps")
    if not isinstance(eps, float | int) or eps < LARGE or not harmed(look):
        return None
    rule = look.once("rule with default eps", lambda: regrouped(look.case, eps=DEFAULT))
    return cure(look, {"rule": rule}, "eps 1e-08", odd=part(math.log10(eps / LARGE) + 1, 2))


def find(look: Look) -> Iterator[Finding]:
    found = tried(look)
    if found is None:
        return
    eps = float(options(look)["eps"])  # type: ignore[arg-type]
    yield Finding(
        "epsilon-too-large",
        believed(found),
        {"eps": eps, **found.evidence},
        "eps",
        f"Give the rule eps={DEFAULT:g} instead of {eps:g}.",
        found.change,
        found.verified,
    )

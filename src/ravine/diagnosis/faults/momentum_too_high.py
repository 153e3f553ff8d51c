"""momentum-too-high: the velocity remembers so many steps that it runs past what it is looking for.

Symptom: the loss falls at first, then swings up and down in slow waves or grows, and no epoch is better than the one before.
Why: with momentum m a gradient works on for 1 / (1 - m) steps, and the step along a steady gradient is lr / (1 - m). At 0.99
that is a hundred steps, ten times what the rate was chosen for at 0.9, and old gradients push on after the valley is passed.
Found: momentum (or the first beta of an Adam-like rule) is 0.97 or above, the run has missed skill that can be had, and the
same run with 0.9 has it.
Cure: momentum 0.9; or, to keep a high one, a rate lowered with 1 - m.
Source: Sutskever et al. 2013, On the importance of initialization and momentum in deep learning; Goh 2017, Why Momentum
Really Works (distill.pub).
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.cures import Cure, believed, cure, harmed
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.rates import options
from ravine.diagnosis.regrouped import regrouped

__all__ = ["EXPLAINS", "find", "tried"]

EXPLAINS = (
    "lr-too-high",
    "oscillating-loss",
    "exploding-gradient",
    "dead-units",
    "saturated-units",
    "under-fitting",
    "capacity-too-small",
    "too-few-epochs",
    "lr-too-low",
)
HIGH = 0.97
"""People write 0.9 and 0.95; schedules of momentum go to 0.95 (Smith 2018). At 0.98 the calibrating tasks are hurt at a
tenth of the rates at which 0.9 is healthy."""

USUAL = 0.9
ODD = 0.9


def momentum_of(look: Look) -> float:
    """The momentum, or the first beta; 0 where the rule has neither."""
    found = options(look)
    momentum, betas = found.get("momentum"), found.get("betas")
    if isinstance(momentum, float | int) and momentum:
        return float(momentum)
    return float(betas[0]) if isinstance(betas, tuple | list) and betas else 0.0


def tried(look: Look) -> Cure | None:
    """The case with a momentum of 0.9; None where its own is not high or nothing was lost."""
    if momentum_of(look) < HIGH or not harmed(look):
        return None
    if look.case.momentum >= HIGH and isinstance(look.case.rule, str):
        return cure(look, {"momentum": USUAL}, f"momentum {USUAL}", odd=ODD)
    found = options(look)
    values = {"momentum": USUAL} if found.get("momentum") else {"betas": (USUAL, *found["betas"][1:])}  # type: ignore[index]
    rule = look.once("rule with usual momentum", lambda: regrouped(look.case, **values))
    return cure(look, {"rule": rule}, f"momentum {USUAL}", odd=ODD)


def find(look: Look) -> Iterator[Finding]:
    found = tried(look)
    if found is None:
        return
    momentum = momentum_of(look)
    yield Finding(
        "momentum-too-high",
        believed(found),
        {"momentum": momentum, "steps_remembered": round(1 / max(1e-9, 1 - momentum)), **found.evidence},
        "momentum",
        f"Set momentum to {USUAL} instead of {momentum:g}.",
        found.change,
        found.verified,
    )

"""dead-units: most units of a layer are 0 whatever the input is.

Symptom: the loss stands still, all of it or above where it should end; a layer's outputs are 0 on every row, and so are the
gradients of the weights before it.
Why: a ReLU whose inputs are negative on every row has no slope anywhere, so nothing moves its weights again. Large negative biases
make such units, and steps that are too large do.
Found: more than 60 % of a layer's units are 0 on each of 256 rows, before training or at its end, and the model with weights drawn
afresh, or with leaky ReLUs, ends better after the same training; or it is 80 % before training.
Cure: biases that begin at 0 and weights by the layers' default; where they die during training a lower rate, or leaky ReLUs.
Source: Maas et al. 2013, Rectifier nonlinearities improve neural network acoustic models; Lu et al. 2020, Dying ReLU and
initialization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import drawn_afresh, leaky, symmetric
from ravine.diagnosis.units import Silent, at_end, at_start
from ravine.diagnosis.worth import improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "vanishing-gradient",
    "under-fitting",
    "capacity-too-small",
    "frozen-parameters",
    "lr-too-low",
    "too-few-epochs",
    "batch-too-large",
    "decayed-too-early",
)

MANY = 0.6  # of a layer's units; healthy networks have up to 0.4
NEARLY_ALL = 0.8  # of them, before training: no default draws so
BETTER = 0.04  # of the skill; two draws of a healthy model differ by 0.02


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or symmetric(look.model):
        return
    first = [one for one in at_start(look)[0] if one.share > MANY]
    if first:
        yield _tried(look, first, "before training", drawn_afresh)
        return
    if not look.base.marks or max(look.under, look.shortfall) < BETTER:
        return
    last = [one for one in at_end(look, look.base)[0] if one.share > MANY]
    if last:
        yield _tried(look, last, "after training", leaky)


def _tried(look: Look, dead: list[Silent], when: str, cure: Callable[[nn.Module], None]) -> Finding:
    worst = max(dead, key=lambda one: one.share)
    sure_of_it = when == "before training" and worst.share > NEARLY_ALL
    confidence, said, gained = 0.4, "", 0.0
    if not look.hurried:
        cured = look.tried(make_model=look.remade(cure))
        gained = improvement(look.base, cured)
        if gained > BETTER or (sure_of_it and gained > -BETTER):
            confidence, said = sure(gained), in_words(look.base, cured)
    advice = (
        "Begin with biases of 0 and weights by the layers' default"
        if cure is drawn_afresh
        else "Write LeakyReLU(0.1) for ReLU, or lower the rate"
    )
    return Finding(
        "dead-units",
        confidence,
        {"when": when, "share_dead": {one.name: one.share for one in dead}, "gain": gained},
        worst.name,
        f"{advice}: {worst.share:.0%} of the units of {worst.name} are 0 on every row {when}.",
        {"make_model": look.remade(cure)},
        said,
    )

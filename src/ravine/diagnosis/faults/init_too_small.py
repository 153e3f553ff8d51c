"""init-too-small: the initial weights are so small that nothing of the input reaches the output.

Symptom: the loss stands still at first, at that of a model which knows nothing, for a large part of the training; or for all of it.
Why: a layer makes a signal smaller by its weights times the square root of its inputs. Through several layers of weights that are
100 times too small nothing is left of it, and of the gradient neither: the start is a saddle, left the later the deeper it is.
Found: the weights of the hidden layers are below a seventh of torch's default for their layers, and drawn afresh by the default the
model ends better after the same training, or has halved its loss earlier by a twelfth of the training; or they are below a
sixtieth.
Cure: draw the weights by the layers' default, or with a variance of 2 / inputs before ReLU and 1 / inputs otherwise.
Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; Saxe et al. 2014, Exact
solutions to the nonlinear dynamics of learning in deep linear neural networks.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import drawn_afresh, root_mean_square, symmetric, weights_of
from ravine.diagnosis.trace import Trace
from ravine.diagnosis.worth import improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "vanishing-gradient",
    "dead-units",
    "lr-too-low",
    "lr-too-high",
    "too-few-epochs",
    "batch-too-large",
    "batch-too-small",
    "decayed-too-early",
    "epsilon-too-large",
    "under-fitting",
    "over-regularized",
    "capacity-too-small",
    "double-scaling",
)

SMALL = 0.15  # times the default; a standard deviation of 0.02, common in transformers, is 0.28 at 64 inputs
TINY = 0.05
NOTHING = 0.015  # times the default: a standard deviation of 0.004 at 4 inputs, 0.001 at 64; nobody draws so on purpose
BETTER = 0.04  # of the skill; two draws of a healthy model differ by 0.02
LATE = 0.08  # of the training


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or symmetric(look.model):
        return
    ratios = {name: root_mean_square(weight) / default for name, weight, default in weights_of(look.model)}
    hidden = [ratio for ratio in list(ratios.values())[:-1] if ratio > 0]  # a last layer that begins at 0 is usual
    if not hidden or statistics.median(hidden) > SMALL:
        return
    small = {name: ratio for name, ratio in ratios.items() if 0 < ratio <= SMALL}
    tiny = statistics.median(hidden) < TINY
    evidence: dict[str, object] = {"times_the_default": small}
    confidence, said = 0.3, ""
    if not look.hurried and small:
        cured = look.tried(make_model=look.remade(drawn_afresh))
        gained, later = improvement(look.base, cured), delay(look.base, cured)
        evidence |= {"gain": gained, "later_by": later}
        if gained > BETTER:
            confidence = sure(gained, least=0.8 if tiny else 0.6)
        elif later > LATE and gained > -BETTER / 2:
            confidence = 0.75 if tiny else 0.55
        elif statistics.median(hidden) < NOTHING and gained > -BETTER:
            confidence = 0.6  # harmless here, for few layers and an adaptive rate grow out of it soon
        said = in_words(look.base, cured) if confidence > 0.5 else ""
    yield Finding(
        "init-too-small",
        confidence,
        evidence,
        ", ".join(small),
        f"Draw the weights by the layers' default: they are {1 / max(min(small.values()), 1e-30):.3g} times as small as that.",
        {"make_model": look.remade(drawn_afresh)},
        said,
    )


def delay(before: Trace, after: Trace) -> float:
    """By what share of the training `before` has halved its loss later than `after`, both on the way to where `after` ends."""
    if not after.finite or not before.losses:
        return 0.0
    begun, ended = after.losses[0], statistics.fmean(after.tail())
    level = ended + 0.5 * (begun - ended)
    return (_below(before.losses, level) - _below(after.losses, level)) / len(after.losses) if begun > ended else 0.0


def _below(losses: list[float], level: float, width: int = 5) -> int:
    """The first step from which the mean of five losses lies below the level; all of them where none does."""
    means = (statistics.fmean(losses[i : i + width]) for i in range(max(1, len(losses) - width + 1)))
    return next((i for i, mean in enumerate(means) if mean < level), len(losses))

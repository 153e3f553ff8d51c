"""init-too-large: the initial weights are many times larger than the layers' inputs allow.

Symptom: the first loss is many times that of a model that knows nothing; training then spends its steps on taking back the
initial weights, or diverges; at a high accuracy on training rows the held-out rows are still predicted badly.
Why: a layer of n inputs keeps the size of a signal where its weights are about 1 / sqrt(n). Weights ten times as large in each of
three layers make outputs a thousand times as large. The steps, whose size is the rate's, are small beside them, and what the
model learns stays near the random function it began as.
Found: the root mean square of a weight is more than 4.2 times that of torch's default for its layer; drawn afresh by the default,
the model begins at a loss a fifth as high, or ends better after the same training.
Cure: draw the weights by the layers' default, or with a variance of 2 / inputs before ReLU and 1 / inputs otherwise.
Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; He et al. 2015, Delving
deep into rectifiers; Chizat et al. 2019, On lazy training in differentiable programming.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import drawn_afresh, root_mean_square, symmetric, weights_of
from ravine.diagnosis.units import saturated_before_training
from ravine.diagnosis.worth import figure, improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "dead-units",
    "lr-too-high",
    "lr-too-low",
    "oscillating-loss",
    "momentum-too-high",
    "too-few-epochs",
    "batch-too-large",
    "batch-too-small",
    "decayed-too-early",
    "over-fitting",
    "under-fitting",
    "too-few-samples",
    "capacity-too-small",
    "target-unscaled",
)

LARGE = (
    4.2  # times the default; Xavier with the gain of tanh comes to 4.1 at most, He to 2.5, orthogonal sqrt(2) to 2.5
)
LOUD = 5.0  # times the first loss of the default
BETTER = 0.04  # of the skill; two draws of a healthy model differ by 0.02


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or symmetric(look.model):
        return
    ratios = {name: root_mean_square(weight) / default for name, weight, default in weights_of(look.model)}
    large = {name: ratio for name, ratio in ratios.items() if ratio > LARGE}
    if not large:
        return
    evidence: dict[str, object] = {"times_the_default": large, "first_loss": figure(look.start.loss)}
    where, confidence, said = ", ".join(large), 0.3, ""
    if not look.hurried:
        cured = look.tried(make_model=look.remade(drawn_afresh))
        gained = improvement(look.base, cured)
        first = cured.losses[0] if cured.losses else math.nan
        evidence |= {"first_loss_by_default": figure(first), "gain": gained}
        loud = look.start.loss > LOUD * abs(first) or not math.isfinite(look.start.loss)
        if gained > BETTER or (loud and cured.finite and gained > -BETTER):
            confidence, said = sure(gained, least=0.75 if loud else 0.6), in_words(look.base, cured)
    if saturated_before_training(look) and list(ratios)[-1] not in large:
        confidence = min(confidence, 0.75)  # the units that it saturates are what stops the training
    yield Finding(
        "init-too-large",
        confidence,
        evidence,
        where,
        f"Draw the weights by the layers' default: they are {max(large.values()):.3g} times as large as that.",
        {"make_model": look.remade(drawn_afresh)},
        said,
    )

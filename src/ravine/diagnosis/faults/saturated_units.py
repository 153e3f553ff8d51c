"""saturated-units: most values of a bounded activation stand at its ends, where it has no slope.

Symptom: the loss falls slowly or not at all; the outputs of a tanh or sigmoid layer are nearly all 1, -1 or 0.
Why: at its ends a bounded activation is flat: the gradient that comes back through it is nearly 0, and the layers before it do not
learn. Weights, biases or inputs that are too large put it there.
Found: more than 60 % of the values of a sigmoid, tanh, hardtanh or softsign that is not the last layer lie within 3 % of the
ends of its range, before training or at its end, and the model with weights drawn afresh, or with ReLU instead, ends better
after the same training.
Cure: weights and biases by the layers' default, inputs of mean 0 and standard deviation 1; or ReLU.
Source: Glorot and Bengio 2010, Understanding the difficulty of training deep feedforward neural networks; LeCun et al. 1998,
Efficient BackProp.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import drawn_afresh, rectified, symmetric
from ravine.diagnosis.units import Silent, at_end, at_start
from ravine.diagnosis.worth import improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "exploding-gradient",
    "under-fitting",
    "over-fitting",
    "capacity-too-small",
    "lr-too-low",
    "lr-too-high",
    "too-few-epochs",
    "too-few-samples",
    "batch-too-large",
    "decayed-too-early",
)

MANY = 0.6  # of a layer's values; a trained sigmoid layer of a healthy network has up to half of them there
BETTER = 0.05  # of the skill; two draws of a healthy model differ by 0.02
NEARLY_ALL = 0.85  # of them, before training


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or symmetric(look.model):
        return
    first = [one for one in at_start(look)[1] if one.share > MANY]
    if first:
        yield _tried(look, first, "before training")
        return
    if not look.base.marks or max(look.under, look.shortfall) < BETTER:
        return
    last = [one for one in at_end(look, look.base)[1] if one.share > MANY]
    if last:
        yield _tried(look, last, "after training")


def _tried(look: Look, there: list[Silent], when: str) -> Finding:
    worst = max(there, key=lambda one: one.share)
    confidence, said, gained, cure = 0.4, "", 0.0, drawn_afresh
    for cure in (drawn_afresh, rectified) if when == "before training" else (rectified,):
        if look.hurried:
            break
        cured = look.tried(make_model=look.remade(cure))
        gained = improvement(look.base, cured)
        if gained > BETTER:
            # what saturates by training alone may be a symptom of many things
            least, most = (0.8, 0.95) if cure is drawn_afresh else (0.55, 0.62)
            confidence, said = sure(gained, least=least, most=most), in_words(look.base, cured)
            break
        if cure is drawn_afresh and worst.share > NEARLY_ALL and gained > -BETTER and _freed(look):
            confidence, said = 0.6, in_words(look.base, cured)
            break
    what = "Draw weights and biases by the layers' default" if cure is drawn_afresh else "Write ReLU for it"
    return Finding(
        "saturated-units",
        confidence,
        {"when": when, "share_saturated": {one.name: one.share for one in there}, "gain": gained},
        worst.name,
        f"{what}: {worst.share:.0%} of the values of {worst.name} are at the ends of its range {when}.",
        {"make_model": look.remade(cure)},
        said,
    )


def _freed(look: Look) -> bool:
    """Whether the same layers by their default are not saturated: then it is the weights, not the inputs."""
    fresh = Look(look.case.but(make_model=look.remade(drawn_afresh)))
    return all(one.share < MANY for one in at_start(fresh)[1])

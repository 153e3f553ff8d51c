"""vanishing-gradient: the gradient is lost on its way back through the layers, and the first ones do not learn.

Symptom: a deep network stands at the loss of one that knows nothing, or learns with its last layers alone.
Why: every layer multiplies the gradient by its weights and by the slope of its activation. A sigmoid's slope is 1/4 at most: after
eight layers less than a thousandth is left, and as much is lost of the signal on its way forward.
Found: in a network of four layers or more the gradient of some weight, for its size, is below a hundredth of the last one's before
training; training falls short; and with ReLU in place of bounded activations and weights of variance 2 / inputs it ends better.
Cure: ReLU with weights of variance 2 / inputs; batch or layer normalization; connections around layers; fewer layers.
Source: Hochreiter 1991, Untersuchungen zu dynamischen neuronalen Netzen; Glorot and Bengio 2010, Understanding the difficulty of
training deep feedforward neural networks; He et al. 2015, Delving deep into rectifiers.
"""

from __future__ import annotations

from collections.abc import Iterator

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.remaking import rectified, symmetric, weights_of
from ravine.diagnosis.worth import improvement, in_words, sure

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "lr-too-low",
    "lr-too-high",
    "too-few-epochs",
    "batch-too-large",
    "batch-too-small",
    "decayed-too-early",
    "epsilon-too-large",
    "momentum-too-high",
    "oscillating-loss",
    "under-fitting",
    "over-regularized",
    "capacity-too-small",
)

DEPTH = 4  # layers with weights
LOST = 0.01  # of the last layer's gradient; healthy ones of 4 to 10 layers keep 0.02 or learn in spite of less
NEARLY_ALL = 1e-5
SHORT = 0.08  # of the skill


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or symmetric(look.model):
        return
    there = {name: float(weight.norm()) for name, weight, _ in weights_of(look.model)}
    sizes = {name: look.start.grads[name] / size for name, size in there.items() if size and name in look.start.grads}
    if len(sizes) < DEPTH:
        return
    first, last = min(sizes, key=lambda name: sizes[name]), list(sizes)[-1]
    kept = sizes[first] / sizes[last] if sizes[last] > 0 else 0.0
    if kept > LOST or max(look.under, look.shortfall) < SHORT:
        return
    confidence, said, gained = (0.65 if kept < NEARLY_ALL and look.under > 0.5 else 0.4), "", 0.0
    if not look.hurried:
        cured = look.tried(make_model=look.remade(rectified))
        gained = improvement(look.base, cured)
        if gained > SHORT:
            confidence, said = sure(gained, least=0.65), in_words(look.base, cured)
    yield Finding(
        "vanishing-gradient",
        confidence,
        {"gradient_for_size": sizes, "kept": kept, "gain": gained},
        first,
        f"Write ReLU and draw weights with variance 2 / inputs: of the gradient of {last} {kept:.2g} is left at {first}.",
        {"make_model": look.remade(rectified)},
        said,
    )

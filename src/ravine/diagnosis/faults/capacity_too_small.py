"""capacity-too-small: the model cannot say what the data hold, however long it is trained.

Symptom: training and validation scores stop together, far below what a plain network comes to, and no rate or longer training
helps.
Why: a layer of one, two or three units lets too little through (what is lost there no later layer can bring back), or the model
is linear and the task is not.
Found: a plain network predicts both the training and the held-out rows better, and the model has a layer of eight units or fewer (a
convolution of three channels) or is one linear layer; it is then rebuilt with 64 units (16 channels) and trained the same way.
Cure: wider hidden layers, or one where there is none.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, 5.2 (capacity) and 11.4; Karpathy 2019, A recipe for training neural
networks ("overfit").
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from torch import nn

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import mixing, widened
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (
    "under-fitting",
    "too-few-epochs",
    "lr-too-low",
    "lr-too-high",
    "oscillating-loss",
    "dead-units",
    "batch-too-large",
)

WIDTH = 64  # of the layers tried instead; that of the reference
NARROW = 8  # units: a wider layer has held back none of the tasks that thresholds were set on
CHANNELS = 3  # likewise of a convolution, each of which has as many places as the picture
UNDER = 0.08  # skill below the reference on training rows, and
SHORT = 0.05  # on held-out ones: without it the reference has only learnt the rows by heart


def find(look: Look) -> Iterator[Finding]:
    if look.start.raised or look.hurried:
        return
    narrowest, where, linear = _narrowest(look.model)
    if not linear and narrowest > NARROW:
        return
    if not look.base.finite or look.under < UNDER or look.shortfall < SHORT:
        return
    change = partial(widened, WIDTH, look.case.x[:4])
    evidence = {"units": narrowest, "skill": look.base.train.skill, "reference": look.fitted}
    advice = (
        f"Put a hidden layer of {WIDTH} units with a ReLU before the last."
        if linear
        else f"Give {where} {WIDTH} units instead of {narrowest}."
    )
    if change(look.case.build()) is None:
        confidence = grown(0.45, 0.7, (look.under - UNDER) / 0.3) if narrowest <= 3 else 0.4
        yield Finding("capacity-too-small", confidence, evidence, where, advice)
        return
    factory = look.remade(change)
    after = look.tried(make_model=factory)
    better = gain(look.base, after)
    closed = better / look.under
    confidence = grown(0.55, 0.95, min(closed, 1.0) * min(1.0, better / 0.15)) if closed > 0.4 else 0.25
    verified = (
        f"skill {after.train.skill:.2f} instead of {look.base.train.skill:.2f} with {WIDTH} units"
        if closed > 0.4
        else ""
    )
    yield Finding("capacity-too-small", confidence, evidence, where, advice, {"make_model": factory}, verified)


def _narrowest(model: nn.Module) -> tuple[int, str, bool]:
    """Units of the narrowest hidden layer, its name, and whether the model is one linear layer."""
    layers = mixing(model)
    recurrent = [(m.hidden_size, name) for name, m in model.named_modules() if isinstance(m, nn.RNNBase)]
    owners = sum(1 for m in model.modules() if any(True for _ in m.parameters(recurse=False)))
    if len(layers) == 1 and owners == 1:
        return 0, layers[0][0] or "the model", True
    widths = [
        (len(m.weight), name)  # type: ignore[arg-type]
        for name, m in layers[:-1]
        if getattr(m, "groups", 1) == 1 and (isinstance(m, nn.Linear) or len(m.weight) <= CHANNELS)  # type: ignore[arg-type]
    ]
    width, name = min([*widths, *recurrent], default=(WIDTH, ""))
    return width, name, False

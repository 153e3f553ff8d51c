"""symmetric-init: units of a layer begin alike, and as their gradients are alike too, they stay so.

Symptom: a wide layer learns no more than a single unit would; with weights of zero nothing but the last bias moves.
Why: units with the same weights in and out compute the same and are told the same. Random initial weights are there to break
this; zeros or a constant in every layer keep it for ever.
Found: the rows of a hidden layer's weight are all the same, or nearly, before training and still after it; a layer that is zero
at first and has parted by then (the last one of a residual branch, say) is none.
Cure: the default initialization of torch.nn, or nn.init.kaiming_normal_.
Source: Goodfellow, Bengio and Courville 2016, Deep Learning, 8.4; Glorot and Bengio 2010.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from ravine.diagnosis.finding import Finding, grown
from ravine.diagnosis.look import Look
from ravine.diagnosis.surgery import drawn, mixing
from ravine.diagnosis.symptoms import SYMPTOMS
from ravine.diagnosis.worth import gain

__all__ = ["EXPLAINS", "find"]

EXPLAINS = (*SYMPTOMS, "frozen-parameters", "unused-parameters")

ALIKE = 0.03  # spread of the rows over their size: 1 for independent rows; 0 for equal ones
STILL = 0.2  # likewise after training: rows that have parted by more do different things
UNITS = 3  # fewer may be alike by chance or on purpose


def find(look: Look) -> Iterator[Finding]:
    alike = {name: spread for name, spread in _spreads(look.model) if spread < ALIKE}
    if not alike or look.start.raised:
        return
    trained = look.base.model
    after = dict(_spreads(trained)) if trained is not None else {}
    still = [name for name in alike if after.get(name, 0.0) < STILL]
    zero = [name for name in alike if not bool(look.model.get_submodule(name).weight.any())]  # type: ignore[operator]
    confidence = 0.95 if still else 0.35
    verified, factory = "", look.remade(drawn)
    if not look.hurried and (still or look.under > 0.05 or look.shortfall > 0.05):
        cured = look.tried(make_model=factory)
        better = gain(look.base, cured)
        if better > 0.03:
            confidence = max(confidence, grown(0.6, 0.97, better / 0.15))
            verified = f"skill {cured.train.skill:.2f} instead of {look.base.train.skill:.2f} with random weights"
        elif still and look.under < 0.03:
            confidence = 0.6  # alike, and nothing lost by it
    yield Finding(
        "symmetric-init",
        confidence,
        {"rows_spread": alike, "after_training": {name: after.get(name) for name in alike}, "all_zero": zero},
        ", ".join(alike),
        "Draw the weights at random: leave torch's default, or nn.init.kaiming_normal_(weight).",
        {"make_model": factory},
        verified,
    )


def _spreads(model: nn.Module) -> list[tuple[str, float]]:
    """How unlike the units of every hidden layer are, by name; the last layer is left out, and what does not learn or is grouped."""
    found = []
    for name, module in mixing(model)[:-1]:
        weight = module.weight
        transposed = isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        if not isinstance(weight, Tensor) or transposed or getattr(module, "groups", 1) > 1:
            continue
        if len(weight) >= UNITS and weight.requires_grad:
            found.append((name, spread_of(weight.detach())))
    return found


def spread_of(weight: Tensor) -> float:
    """The median distance of the rows [units, ...] from their median row, over the median size of a row; 0 where all are alike.

    >>> import torch
    >>> spread_of(torch.ones(4, 3))
    0.0
    """
    rows = weight.flatten(1)
    away = (rows - rows.median(0).values).norm(dim=1).median()
    size = rows.norm(dim=1).median()
    return float(away / size) if size > 0 else 0.0

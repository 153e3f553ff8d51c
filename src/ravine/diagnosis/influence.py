"""Which parameters the outputs depend on, found by moving them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.surgery import noise, stir
from ravine.randomness import seeded

__all__ = ["influential"]

ROWS = 32


def influential(case: Case, names: Iterable[str]) -> set[str]:
    """Those of the named parameters that change an output, in training or evaluation mode, when noise is added to them.

    All parameters are moved by noise at first, so that none is hidden behind a layer of zeros.
    """
    model = case.build()
    named = dict(model.named_parameters())
    stir(model, case.seed)
    with torch.no_grad():
        before = _outputs(case, model)
        found = set()
        for name in names:
            kept = named[name].clone()
            named[name].add_(noise(kept, case.seed, f"again {name}"))
            if any(not torch.equal(a, b) for a, b in zip(before, _outputs(case, model), strict=True)):
                found.add(name)
            named[name].copy_(kept)
    return found


def _outputs(case: Case, model: nn.Module) -> list[Tensor]:
    """In evaluation and in training mode, buffers left as they were."""
    buffers = [b.clone() for b in model.buffers()]
    found = []
    for mode in (False, True):
        with seeded(case.seed, "influence"):
            found.append(model.train(mode)(case.x[:ROWS]))
    for b, was in zip(model.buffers(), buffers, strict=True):
        b.copy_(was)
    return found

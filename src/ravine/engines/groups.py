"""Which parameters decay: weights do; biases, the scales of norms and embeddings do not."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

from ravine.errors import ModelError

__all__ = ["decaying", "groups"]

NORM = re.compile(r"norm(\d?d)?$", re.IGNORECASE)


def decaying(module: nn.Module) -> frozenset[str]:
    """The names of the parameters that decay: those of two dimensions or more that no norm or embedding holds.

    A matrix shared with an embedding counts as the embedding's. A layer is a norm when its class is named so:
    BatchNorm2d, LayerNorm, a user's own RMSNorm.
    """
    spared = {
        id(param)
        for layer in module.modules()
        if isinstance(layer, nn.Embedding | nn.EmbeddingBag) or NORM.search(type(layer).__name__)
        for param in layer.parameters(recurse=False)
    }
    return frozenset(name for name, p in module.named_parameters() if p.ndim >= 2 and id(p) not in spared)


def groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two parameter groups for any optimizer: what decays, by `weight_decay`, and what does not.

    A group that would be empty is left out. Frozen parameters are in: they have no gradient until they are
    thawed. Raises ModelError for a model without parameters, or one that is none.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups(model, 0.1)]
    [(1, 0.1), (3, 0.0)]
    """
    if not isinstance(model, nn.Module):
        raise ModelError(f"groups got a {type(model).__name__}; it needs the module itself: write groups(model, 0.01).")
    chosen = decaying(model)
    named = dict(model.named_parameters())
    if not named:
        raise ModelError(f"{type(model).__name__} has no parameters to put into groups.")
    split = [
        ([p for name, p in named.items() if name in chosen], weight_decay),
        ([p for name, p in named.items() if name not in chosen], 0.0),
    ]
    return [{"params": params, "weight_decay": decay} for params, decay in split if params]

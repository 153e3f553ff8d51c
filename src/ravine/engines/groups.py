"""Parameter groups for any optimizer: what decays and what does not."""

from __future__ import annotations

from typing import Any

from torch import nn

from ravine.errors import ModelError
from ravine.regularization import decaying

__all__ = ["groups"]


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

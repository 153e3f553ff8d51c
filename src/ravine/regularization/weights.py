"""Which parameters are weights, and so decay: biases, the scales of norms and embeddings are not."""

from __future__ import annotations

import re

from torch import nn

__all__ = ["decaying"]

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

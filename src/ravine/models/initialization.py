"""How the reference networks start, and how far from zero any network does."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["scale_weights", "start_quiet"]


def start_quiet(model: nn.Module) -> nn.Module:
    """He initialization for every hidden layer, zero biases, and a last layer with outputs near zero.

    Source: He et al. 2015. A last layer of standard deviation 0.01 gives every class nearly the
    same score, so the first loss is log C; it is not zero, so that no two units start alike.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    nn.init.normal_(layers[-1].weight, std=0.01)
    return model


@torch.no_grad()
def scale_weights(model: nn.Module, factor: float) -> nn.Module:
    """Multiply, in place, what learns and has two dimensions or more: matrices, kernels, embeddings.

    Biases and the gains of norms stay, and so does what is frozen: it was not drawn, it was given. 1 leaves every bit.

    >>> layer = nn.Linear(1, 1)
    >>> _ = nn.init.ones_(layer.weight), nn.init.ones_(layer.bias)
    >>> [p.item() for p in scale_weights(layer, 0.5).parameters()]
    [0.5, 1.0]
    """
    for parameter in model.parameters():
        if parameter.ndim >= 2 and parameter.requires_grad:
            parameter.mul_(factor)
    return model

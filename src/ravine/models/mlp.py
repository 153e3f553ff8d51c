"""A multi-layer perceptron: the reference model for tables and small images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ravine.models.initialization import start_quiet
from ravine.models.widths import check_parameters, checked_widths
from ravine.regularization import Dropout

__all__ = ["mlp"]


def mlp(
    input_shape: Sequence[int], outputs: int, *, hidden: int | Sequence[int] = (256, 256), dropout: float = 0.0
) -> nn.Module:
    """Flatten, then Linear - ReLU - dropout for each hidden width, then Linear to the outputs.

    input_shape: of one example. hidden: widths, each >= 1, or one. dropout: probability of dropping, in [0, 1).
    He initialization (He et al. 2015); the last layer starts small, so that the first loss is log C.
    Raises ModelError for a width that is no whole number, 1 or more.
    """
    widths = [math.prod(input_shape), *checked_widths("hidden", hidden)]
    check_parameters("mlp", sum((before + 1) * after for before, after in pairwise([*widths, outputs])))
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), Dropout(dropout)]
    return start_quiet(nn.Sequential(*layers, nn.Linear(widths[-1], outputs)))

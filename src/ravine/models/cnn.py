"""A small convolutional network: the reference model for images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ravine.errors import ModelError
from ravine.models.initialization import start_quiet
from ravine.models.widths import check_parameters, checked_widths
from ravine.regularization import Dropout

__all__ = ["cnn"]


def cnn(
    input_shape: Sequence[int],
    outputs: int,
    *,
    channels: int | Sequence[int] = (32, 64),
    hidden: int = 128,
    dropout: float = 0.0,
) -> nn.Module:
    """3 x 3 convolution - ReLU - 2 x 2 max pooling for each entry of channels, then Linear - ReLU - dropout - Linear.

    input_shape: (channels, height, width). channels: widths of the convolutions, or of the one there is; hidden: of
    the linear layer. dropout: probability of dropping, in [0, 1).
    He initialization (He et al. 2015); the last layer starts small, so that the first loss is log C.
    Raises ModelError when the input is no image or too small to be halved once per convolution, and for a width
    that is no whole number, 1 or more.
    """
    if len(input_shape) != 3:
        raise ModelError(
            f"cnn needs images, (channels, height, width); the data has examples of shape {tuple(input_shape)}: write --model mlp."
        )
    channels, (hidden,) = checked_widths("channels", channels), checked_widths("hidden", [hidden])
    depth, height, width = input_shape
    if min(height, width) < 2 ** len(channels):
        fitting = ",".join(map(str, channels[: min(height, width).bit_length() - 1]))
        raise ModelError(
            f"cnn halves the image {len(channels)} times, but it is {height} x {width}: "
            f"write {f'--set channels={fitting}, or ' if fitting else ''}--model mlp."
        )
    shrink = 2 ** len(channels)
    flat = channels[-1] * (height // shrink) * (width // shrink)
    filters = sum((9 * before + 1) * after for before, after in pairwise([depth, *channels]))
    check_parameters("cnn", filters + (flat + 1) * hidden + (hidden + 1) * outputs)
    layers: list[nn.Module] = []
    for before, after in pairwise([depth, *channels]):
        layers += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    head = [nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), Dropout(dropout), nn.Linear(hidden, outputs)]
    return start_quiet(nn.Sequential(*layers, *head))

"""Brightness and contrast, each image its own. Nothing is clipped: standardized data has no black and no white.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_number

__all__ = ["Brightness", "Contrast", "brightened", "contrasted"]


@dataclass(frozen=True)
class Brightness:
    """Each image of x [B, C, H, W] has U(-strength, strength) added, the same to all its pixels and channels.

    Raises SettingError unless strength lies in (0, inf).
    """

    strength: float  # in units of the data: standard deviations when it is standardized

    def __post_init__(self) -> None:
        _check("brightness", self.strength)

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("brightness", x)
        draws = uniform((len(x),), derive(seed, "brightness"), step, device=x.device)
        return brightened(x, (2 * draws - 1) * self.strength)


@dataclass(frozen=True)
class Contrast:
    """Each image of x [B, C, H, W] is stretched about its own mean by (1 + strength)^U(-1, 1).

    Symmetric in the logarithm: with strength 1, half is as likely as double. The factor lies in
    [1/(1 + strength), 1 + strength]; the mean is over all pixels and channels of the image.
    Raises SettingError unless strength lies in (0, inf).
    """

    strength: float  # largest factor less 1

    def __post_init__(self) -> None:
        _check("contrast", self.strength)

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("contrast", x)
        draws = uniform((len(x),), derive(seed, "contrast"), step, device=x.device)
        return contrasted(x, (1 + self.strength) ** (2 * draws - 1))


def brightened(x: Tensor, by: Tensor) -> Tensor:
    """X [B, C, H, W] plus a number of its own for each image. by: [B]."""
    return x + by.to(x.dtype)[:, None, None, None]


def contrasted(x: Tensor, factor: Tensor) -> Tensor:
    """X [B, C, H, W] stretched about each image's mean. factor: [B]."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, x, factor.to(x.dtype)[:, None, None, None])


def _check(name: str, strength: object) -> None:
    check_number(
        name, strength, lambda s: 0 < s < math.inf, f"be a number above 0: write {name}=0.3, or leave {name} out"
    )

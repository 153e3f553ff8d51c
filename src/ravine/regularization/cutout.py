"""Cutout: a square of each image is erased."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_number

__all__ = ["Cutout"]


@dataclass(frozen=True)
class Cutout:
    """A square filled with 0, the mean of standardized data; its centre is uniform over each image's pixels.

    The side is `share` of the image's shorter side, rounded, one pixel at least; at a border the square is cut off.
    x: [B, C, H, W] floating, left untouched. y: any targets, returned as they are.
    Source: DeVries & Taylor 2017; random erasing (Zhong et al. 2020) draws the shape of the box too.
    Raises SettingError unless share lies in (0, 1], and for data other than images.
    """

    share: float  # of the side, not of the area

    def __post_init__(self) -> None:
        check_number(
            "cutout",
            self.share,
            lambda share: 0 < share <= 1,
            "be the side of the square as a share of the image's, in (0, 1]: write cutout=0.5, or leave cutout out",
        )

    def __call__(self, x: Tensor, y: Tensor, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
        check_images("cutout", x)
        height, width = x.shape[2:]
        side = max(1, round(self.share * min(height, width)))
        down, across = uniform((2, len(x)), derive(seed, "cutout"), step, device=x.device)
        erased = _span(down, height, side)[:, None, :, None] & _span(across, width, side)[:, None, None, :]
        return x.masked_fill(erased, 0.0), y


def _span(where: Tensor, size: int, side: int) -> Tensor:
    """Which of `size` positions a span of `side` about a centre covers, [B, size]. where: [B] in [0, 1)."""
    start = (where * size).long() - side // 2
    after = torch.arange(size, device=where.device) - start[:, None]  # positions past the start
    return (after >= 0) & (after < side)

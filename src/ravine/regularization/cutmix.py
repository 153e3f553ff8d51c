"""CutMix: a box of each image is replaced by the same box of another, and targets are mixed by area."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.draws import permuted, uniform
from ravine.regularization.images import check_images
from ravine.regularization.mixup import beta_draw, check_alpha
from ravine.regularization.targets import check_mixable

__all__ = ["CutMix"]


@dataclass(frozen=True)
class CutMix:
    """One box per batch, pasted from partners that a random permutation gives.

        lambda        ~ Beta(alpha, alpha)
        box           sides floor(H * sqrt(1 - lambda)), floor(W * sqrt(1 - lambda)), its centre uniform, clipped
        x[.., box]    <- x[partner][.., box]
        y             <- (1 - area) * y + area * y[partner],  area = pixels of the box / (H * W)

    x: [B, C, H, W] floating. y: soft targets [B, classes], or values [B]. Both are left untouched.
    Source: Yun et al. 2019, one box per batch as in the authors' code; sides keep their odd pixel, which the code
    drops by halving. Raises SettingError unless alpha lies in (0, inf); for data other than images; for y of
    class indices; for a batch of one.
    """

    alpha: float  # 1: the share kept is uniform before clipping, as in the paper

    def __post_init__(self) -> None:
        check_alpha("cutmix", self.alpha)

    def __call__(self, x: Tensor, y: Tensor, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
        check_images("cutmix", x)
        check_mixable("cutmix", x, y)
        height, width = x.shape[2:]
        rows, columns = self._box(height, width, seed, step)
        area = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        partner = permuted(len(x), derive(seed, "cutmix", "partner"), step, device=x.device)
        mixed = x.clone()
        mixed[:, :, rows, columns] = x[partner, :, rows, columns]
        return mixed, torch.lerp(y, y[partner.to(y.device)], area)

    def _box(self, height: int, width: int, seed: int, step: int) -> tuple[slice, slice]:
        """The rows and the columns that are replaced."""
        ratio = math.sqrt(1 - beta_draw(self.alpha, derive(seed, "cutmix"), step))
        down, across = uniform((2,), derive(seed, "cutmix", "centre"), step).tolist()
        return _span(height, int(height * ratio), down), _span(width, int(width * ratio), across)


def _span(size: int, side: int, where: float) -> slice:
    """`side` pixels about a centre, cut off at the borders. where: [0, 1), the centre as a share of `size`."""
    start = int(where * size) - side // 2
    return slice(max(start, 0), min(start + side, size))

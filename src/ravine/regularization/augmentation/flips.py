"""Mirror images: left and right, or top and bottom.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.augmentation.pixels import taken
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_number

__all__ = ["HorizontalFlip", "VerticalFlip"]


@dataclass(frozen=True)
class HorizontalFlip:
    """Each image of x [B, C, H, W] is mirrored left to right with probability p.

    Not for digits or letters, whose mirror images are others. Raises SettingError unless p lies in (0, 1].
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        _check("flip", self.p)

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("flip", x)
        return _flipped(x, 3, self.p, derive(seed, "flip"), step)


@dataclass(frozen=True)
class VerticalFlip:
    """Each image of x [B, C, H, W] is mirrored top to bottom with probability p.

    For views from above and through a microscope. Raises SettingError unless p lies in (0, 1].
    """

    p: float = 0.5

    def __post_init__(self) -> None:
        _check("flip_vertical", self.p)

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("flip_vertical", x)
        return _flipped(x, 2, self.p, derive(seed, "flip_vertical"), step)


def _flipped(x: Tensor, dim: int, p: float, seed: int, step: int) -> Tensor:
    """X [B, C, H, W], some images mirrored along dimension 2 or 3."""
    chosen = uniform((len(x), 1), seed, step, device=x.device) < p
    rows, columns = (torch.arange(size, device=x.device)[None] for size in x.shape[2:])
    if dim == 2:
        return taken(x, torch.where(chosen, rows.flip(1), rows), columns)
    return taken(x, rows, torch.where(chosen, columns.flip(1), columns))


def _check(name: str, p: object) -> None:
    check_number(name, p, lambda p: 0 < p <= 1, f"be a probability in (0, 1]: write {name}=0.5, or leave {name} out")

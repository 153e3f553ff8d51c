"""Images shifted and turned about their centre.

What lies beyond the border is reflected: a standardized image has no black to fill it with, and 0, its mean, would
draw an edge that no real image has.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.randomness import derive
from ravine.regularization.augmentation.pixels import shifted
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_number

__all__ = ["Rotate", "Translate", "rotated"]


@dataclass(frozen=True)
class Translate:
    """Each image of x [B, C, H, W] moves by U(-share, share) of its height and, by a draw of its own, of its width.

    By whole pixels, so nothing is blurred: a shift between two is rounded to either at random, the nearer the more
    likely. So a share of less than a pixel acts too, now and then. Raises SettingError unless share lies in (0, 1].
    """

    share: float  # furthest shift, up or down and left or right

    def __post_init__(self) -> None:
        check_number(
            "translate",
            self.share,
            lambda share: 0 < share <= 1,
            "be a share of the image, in (0, 1]: write translate=0.1, or leave translate out",
        )

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("translate", x)
        draws = uniform((4, len(x)), derive(seed, "translate"), step, device=x.device)
        size = torch.tensor([[x.shape[2]], [x.shape[3]]], device=x.device)
        down, across = ((2 * draws[:2] - 1) * self.share * size + draws[2:]).floor()
        return shifted(x, down, across)


@dataclass(frozen=True)
class Rotate:
    """Each image of x [B, C, H, W] turns about its centre by U(-degrees, degrees), interpolated bilinearly.

    Raises SettingError unless degrees lies in (0, 180].
    """

    degrees: float  # furthest turn, either way

    def __post_init__(self) -> None:
        check_number(
            "rotate",
            self.degrees,
            lambda degrees: 0 < degrees <= 180,
            "be in degrees, in (0, 180]: write rotate=15, or leave rotate out",
        )

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("rotate", x)
        draws = uniform((len(x),), derive(seed, "rotate"), step, device=x.device)
        return rotated(x, (2 * draws - 1) * self.degrees)


def rotated(x: Tensor, degrees: Tensor) -> Tensor:
    """X [B, C, H, W] turned about its centre, anticlockwise as one looks at it. degrees: [B].

    Positions are counted in pixels from the centre. With align_corners=False the sampler's unit is half the image
    from edge to edge, so a turn by 0 is the identity, to rounding, for any height and width, a single pixel too.
    """
    height, width = x.shape[2:]
    exact = x if x.dtype in (torch.float32, torch.float64) else x.float()  # 16 bits cannot tell positions apart
    angle = torch.deg2rad(degrees.to(exact.dtype))[:, None, None]
    down = torch.arange(height, device=x.device, dtype=exact.dtype)[:, None] - (height - 1) / 2
    across = torch.arange(width, device=x.device, dtype=exact.dtype) - (width - 1) / 2
    read_across = (angle.cos() * across - angle.sin() * down) * (2 / width)
    read_down = (angle.sin() * across + angle.cos() * down) * (2 / height)
    grid = torch.stack([read_across, read_down], 3)  # [B, H, W, 2]
    return F.grid_sample(exact, grid, padding_mode="reflection", align_corners=False).to(x.dtype)

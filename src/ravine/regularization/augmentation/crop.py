"""A random crop of the padded image: the usual augmentation of small photographs."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ravine.errors import SettingError
from ravine.randomness import derive
from ravine.regularization.augmentation.pixels import shifted
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_whole

__all__ = ["RandomCrop"]


@dataclass(frozen=True)
class RandomCrop:
    """Pad every side by reflection, then cut out the original size at one of (2 * padding + 1)^2 places.

    x: [B, C, H, W] floating. Source: He et al. 2016, with reflection in place of zeros: see `Rotate`.
    Raises SettingError unless padding is a whole number of pixels, 1 or more and below both sides of the image.
    """

    padding: int  # pixels

    def __post_init__(self) -> None:
        check_whole("crop", self.padding, 1, "crop=4, pixels of padding, or leave crop out")

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("crop", x)
        if self.padding >= min(x.shape[2:]):
            raise SettingError(
                f"crop is {self.padding} pixels of reflected padding and the images are {tuple(x.shape[2:])}: "
                f"write {min(x.shape[2:]) - 1} at most, an eighth of the side is usual."
            )
        draws = uniform((2, len(x)), derive(seed, "crop"), step, device=x.device)
        down, across = (draws * (2 * self.padding + 1)).long() - self.padding
        return shifted(x, down, across)

"""Every augmentation as one value, each off unless asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from torch import Tensor

from ravine.regularization.augmentation.affine import Rotate, Translate
from ravine.regularization.augmentation.colour import Brightness, Contrast
from ravine.regularization.augmentation.crop import RandomCrop
from ravine.regularization.augmentation.flips import HorizontalFlip, VerticalFlip
from ravine.regularization.augmentation.policy import RandAugment
from ravine.regularization.images import check_images

__all__ = ["Augment", "Augmentation"]


class Augment(Protocol):
    """What changes a batch of images [B, C, H, W], as a function of it, a seed and the step."""

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor: ...


MAKERS: dict[str, Callable[[Any], Augment]] = {
    "crop": RandomCrop,
    "flip": HorizontalFlip,
    "flip_vertical": VerticalFlip,
    "translate": Translate,
    "rotate": Rotate,
    "brightness": Brightness,
    "contrast": Contrast,
    "policy": lambda strength: RandAugment(magnitude=strength),
}
"""What each strength makes, in the order in which they are applied."""


@dataclass(frozen=True)
class Augmentation:
    """Those asked for, in the order of the fields: first where pixels lie, then their values, then the policy.

    x: [B, C, H, W] floating; untouched, its dtype and device kept, every image with draws of its own.
    Raises SettingError, also when made, for a strength that one of them cannot take, and for data other than images.
    """

    crop: int = 0  # pixels of padding before a random crop
    flip: float = 0.0  # probability of mirroring left and right
    flip_vertical: float = 0.0  # and top and bottom
    translate: float = 0.0  # furthest shift as a share of the image
    rotate: float = 0.0  # furthest turn in degrees
    brightness: float = 0.0  # furthest change, in units of the data
    contrast: float = 0.0  # largest factor less 1
    policy: float = 0.0  # magnitude of two operations drawn for each image, in (0, 1]

    def __post_init__(self) -> None:
        _ = self._parts  # refuses what is out of range

    @property
    def on(self) -> bool:
        """Whether anything is asked for."""
        return bool(self._parts)

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        if self.on:
            check_images("augmentation", x)
        for part in self._parts:
            x = part(x, seed=seed, step=step)
        return x

    @cached_property
    def _parts(self) -> list[Augment]:
        """Made once: a training loop asks at every step."""
        strengths = ((make, getattr(self, name)) for name, make in MAKERS.items())
        return [make(strength) for make, strength in strengths if strength != 0]

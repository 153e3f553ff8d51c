"""Image batches augmented on the device they are on. `AUGMENTATIONS` is the only registry."""

from collections.abc import Callable

from ravine.regularization.augmentation.affine import Rotate, Translate
from ravine.regularization.augmentation.augmentation import Augment, Augmentation
from ravine.regularization.augmentation.colour import Brightness, Contrast
from ravine.regularization.augmentation.crop import RandomCrop
from ravine.regularization.augmentation.flips import HorizontalFlip, VerticalFlip
from ravine.regularization.augmentation.policy import OPERATIONS, RandAugment

__all__ = [
    "AUGMENTATIONS",
    "OPERATIONS",
    "Augment",
    "Augmentation",
    "Brightness",
    "Contrast",
    "HorizontalFlip",
    "RandAugment",
    "RandomCrop",
    "Rotate",
    "Translate",
    "VerticalFlip",
]

AUGMENTATIONS: dict[str, Callable[..., Augment]] = {
    "crop": RandomCrop,
    "flip": HorizontalFlip,
    "flip_vertical": VerticalFlip,
    "translate": Translate,
    "rotate": Rotate,
    "brightness": Brightness,
    "contrast": Contrast,
    "policy": RandAugment,
}
"""Every augmentation by the name it has in `Augmentation`."""

"""What counts as a batch of images."""

from __future__ import annotations

from torch import Tensor

from ravine.errors import SettingError

__all__ = ["check_images"]


def check_images(name: str, x: Tensor) -> None:
    """Raise SettingError unless x is [B, C, H, W] of floating numbers. name: what needs it, for the message."""
    if x.ndim != 4:
        raise SettingError(
            f"{name} is for images, a batch [B, channels, height, width]; the data has examples of shape "
            f"{tuple(x.shape[1:])}: leave {name} out. mixup, dropout and weight decay are for any data."
        )
    if not x.is_floating_point():
        raise SettingError(
            f"{name} got images of {x.dtype}; it needs floating numbers, best standardized: write x.float()."
        )

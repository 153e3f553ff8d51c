"""Images as the model wants them: one size, one or three channels, standardized by the training pixels.

Letters in shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field, model_validator
from torch import Tensor

from ravine.data.decoding import encoded_image, open_image, pixels_of, quiet_pillow, reading
from ravine.data.preprocessing import Preprocessing, Scale
from ravine.errors import DataError

__all__ = ["ImagePreprocessing"]

Side = Annotated[int, Field(ge=1, le=4096)]  # pixels; the bound keeps a damaged file from asking for all memory


class ImagePreprocessing(Preprocessing):
    """(pixel / 255 - mean) / std, per channel."""

    kind: Literal["image"] = "image"
    height: Side
    width: Side
    mean: tuple[float, ...]  # per channel, of training pixels in 0..1; one is grey, three are red, green, blue
    std: tuple[Scale, ...]

    @model_validator(mode="after")
    def check_channels(self) -> ImagePreprocessing:
        if len(self.mean) not in (1, 3) or len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} stds; 1 or 3 of each are needed")
        return self

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (self.channels, self.height, self.width)

    def scale(self, pixels: Tensor) -> Tensor:
        """Standardized float32 of pixels [..., C, H, W], uint8 or floats in 0..1."""
        mean = torch.tensor(self.mean, dtype=torch.float32)[:, None, None]
        std = torch.tensor(self.std, dtype=torch.float32)[:, None, None]
        unit = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels.to(torch.float32, copy=True)
        return unit.sub_(mean).div_(std)

    def to_tensor(self, raw: Any) -> Tensor:
        """[N, C, H, W] float32 of one image or several: paths, PIL images, arrays or tensors.

        Arrays are uint8, [N, H, W], [N, H, W, C], [N, C, H, W] or one of these; or floats in 0..1 of the model's
        own size, [N, C, H, W], [N, H, W] for one channel, or one image. Images of another size are resized.
        Raises DataError on any other shape or type, and names a file that cannot be read.
        """
        if isinstance(raw, str | Path | Image.Image):
            raw = [raw]
        if isinstance(raw, Sequence) and raw and all(isinstance(each, str | Path | Image.Image) for each in raw):
            return self.scale(torch.from_numpy(np.stack([self._decode(each, i) for i, each in enumerate(raw)])))
        if isinstance(raw, Sequence) and raw and all(isinstance(each, np.ndarray | Tensor) for each in raw):
            return torch.cat([self.to_tensor(each) for each in raw])
        if not isinstance(raw, np.ndarray | Tensor):
            raise DataError(
                f"got {type(raw).__name__}; this model reads images: give a path, a PIL image, an array, "
                "or a list of one of these."
            )
        array = raw.detach().cpu().numpy() if isinstance(raw, Tensor) else raw
        if array.dtype == np.uint8:
            return self.scale(torch.from_numpy(self._fit_bytes(array)))
        if array.dtype.kind == "f":
            return self.scale(torch.from_numpy(self._fit_floats(array)))
        raise DataError(f"the images have dtype {array.dtype}; give uint8 (0 to 255) or floats in 0..1.")

    def _decode(self, each: str | Path | Image.Image, position: int) -> NDArray[np.uint8]:
        name = f"image {position + 1}" if isinstance(each, Image.Image) else str(each)
        with quiet_pillow(), reading(name):
            image = each if isinstance(each, Image.Image) else open_image(encoded_image(Path(each)))
            return pixels_of(image, self.channels, self.height, self.width)

    def _fit_bytes(self, array: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[N, C, H, W] of the model's own size."""
        stack = channels_last(array, self.input_shape)
        colours = 1 if self.channels == 1 else 3
        if stack.shape[1:] == (self.height, self.width, colours):
            return np.ascontiguousarray(stack.transpose(0, 3, 1, 2))
        images = [Image.fromarray(each[..., 0] if each.shape[-1] == 1 else each) for each in stack]
        return np.stack([pixels_of(image, *self.input_shape) for image in images])

    def _fit_floats(self, array: NDArray[Any]) -> NDArray[Any]:
        """[N, C, H, W] of the model's own size, checked to lie in 0..1."""
        if array.shape == self.input_shape or (self.channels == 1 and array.shape == self.input_shape[1:]):
            array = array.reshape(1, *self.input_shape)
        elif self.channels == 1 and array.shape[1:] == self.input_shape[1:]:
            array = array[:, None]
        if array.shape[1:] != self.input_shape or not len(array):
            raise DataError(
                f"the images have shape {list(array.shape)}; this model needs [N, {_listed(self.input_shape)}]."
            )
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"float pixels lie in {array.min():g} to {array.max():g}; they must lie in 0..1: "
                "divide by 255, or give uint8."
            )
        return array


def channels_last(array: NDArray[np.uint8], input_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """[N, H, W, C] of any of the layouts of images in memory, C 1, 3 or 4. Raises DataError when it is none.

    The model's own size decides where a shape could be read in two ways: [N, H, W] of grey images whose W is 3, say.
    """
    colours = (1, 3, 4)
    shape = array.shape
    if array.ndim == 2:
        array = array[None, :, :, None]
    elif array.ndim == 3 and shape == input_shape:
        array = array.transpose(1, 2, 0)[None]
    elif array.ndim == 3 and shape[-1] in colours and shape[1:] != input_shape[1:]:
        array = array[None]
    elif array.ndim == 3:
        array = array[..., None]
    elif array.ndim == 4 and (shape[1:] == input_shape or (shape[-1] not in colours and shape[1] in colours)):
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[-1] not in colours or not array.size:
        raise DataError(
            f"the images have shape {list(array.shape)}; needed are [N, H, W], [N, H, W, C] or [N, C, H, W], "
            f"or one such image; this model was trained on [{_listed(input_shape)}]."
        )
    return array


def _listed(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))

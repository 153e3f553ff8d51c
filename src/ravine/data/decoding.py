"""Encoded images to pixels: PNG, JPEG and whatever else Pillow reads, refused in one line when damaged.

Every image of a set gets the same channels and size. Letters in shapes: C channels, H height, W width.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ravine.errors import DataError
from ravine.limits import IMAGE_BYTES, IMAGE_PIXELS

__all__ = ["GREY", "encoded_image", "open_image", "pixels_of", "reading"]

GREY = frozenset(["1", "L", "LA"])  # modes that stay one channel; all others become RGB
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "GIF", "TIFF", "WEBP", "PPM")
"""What is decoded, whatever a file is called. Pillow knows more, and begins a program (Ghostscript) for one of them."""

DEEP = ("I", "F")  # beginnings of the modes with more than 8 bits per pixel


def encoded_image(path: Path) -> bytes:
    """The bytes of an image file. ValueError for what is no file, or too large to be one image."""
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("there is no such file" if not path.exists() else "it is no file")
    if path.stat().st_size > IMAGE_BYTES:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, more than {IMAGE_BYTES:,}")
    return path.read_bytes()


def open_image(encoded: bytes) -> Image.Image:
    """An image opened but not yet decoded, upright: a camera's note on how it was held is followed."""
    image: Image.Image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    if image.width * image.height > IMAGE_PIXELS:
        raise ValueError(f"it has {image.width:,} x {image.height:,} pixels, more than {IMAGE_PIXELS:,}")
    if "exif" in image.info:
        image = ImageOps.exif_transpose(image)
    return image


def pixels_of(image: Image.Image, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """Pixels, [C, H, W]; resized (bilinear, antialiased) when the image has another size."""
    if image.mode.startswith(DEEP):
        raise ValueError(f"its pixels have more than 8 bits (mode {image.mode}); save it with 8 bits per channel")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Pillow's remarks on odd files are left out; its remark on a decompression bomb becomes an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever goes wrong inside while decoding becomes one DataError that names the image.

    Decoders of some thirty formats raise many kinds (OSError, SyntaxError, struct.error, ...) on damaged bytes.
    """
    try:
        yield
    except (MemoryError, DataError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        reason = "not an image Pillow knows" if reason.startswith("cannot identify image file") else reason
        raise DataError(f"{name}: the image cannot be read ({reason[:200]}); replace it or take it out.") from error

"""Sets of encoded images kept by `datasets` in a memory-mapped Arrow file; decoded here, a thousand at a time.

`datasets` hands out the encoded bytes (or the path) as they are, so that a damaged image is found and named by us,
and decoding writes straight into one array. Letters in shapes: N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ravine.data.decoding import GREY, encoded_image, open_image, pixels_of, quiet_pillow, reading
from ravine.data.images import ImagePreprocessing
from ravine.data.preprocessing import Preprocessing, Target
from ravine.data.targets import Labels

__all__ = ["ImageExamples"]

CHUNK = 1000  # images read from Arrow and decoded together
LARGEST = 64  # pixels; larger images are made smaller so that training fits a small machine


class ImageExamples:
    """Labelled images of one split of a `datasets.Dataset`."""

    def __init__(self, dataset: Any, column: str, labels: Labels, *, read_paths: bool, memory_limit: int) -> None:
        """column: holds the images, a struct of `bytes` and `path`.

        read_paths: whether an image without bytes may be read from its path (a folder of images, not a stranger's
        table). memory_limit: bytes of all inputs as float32; the training pixels met while learning are kept, to be
        decoded once, as long as they stay below it.
        """
        self.labels = labels
        self._encoded = dataset.select_columns([column]).with_format("arrow")
        self._column = column
        self._read_paths = read_paths
        self._memory_limit = memory_limit
        self._kept: tuple[NDArray[np.int64], NDArray[np.uint8]] | None = None  # rows ascending, pixels [N, C, H, W]

    @property
    def kind(self) -> str:
        return "image"

    def fit(self, train: NDArray[np.int64], target: Target) -> tuple[ImagePreprocessing, tuple[str, ...]]:
        """Size and channels from the commonest training images, mean and std from all their pixels."""
        sizes, modes = self._survey(train)
        channels = 1 if GREY.issuperset(modes) else 3
        width, height = capped(sizes.most_common(1)[0][0])
        counts = self._count_pixels(train, (channels, height, width))
        mean, std = moments(counts)
        notes = size_notes(sizes, (width, height))
        if len(modes) > 1:
            notes += (f"images of modes {', '.join(sorted(modes))}: all read as {'grey' if channels == 1 else 'RGB'}",)
        return ImagePreprocessing(target=target, height=height, width=width, mean=mean, std=std), notes

    def read(self, rows: NDArray[np.int64], preprocessing: Preprocessing) -> Tensor:
        """Decode and standardize the rows, [B, C, H, W] float32, in the order asked for."""
        assert isinstance(preprocessing, ImagePreprocessing)
        shape = preprocessing.input_shape
        x = torch.empty((len(rows), *shape), dtype=torch.float32)
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            x[start : start + CHUNK] = preprocessing.scale(torch.from_numpy(self._pixels(part, shape)))
        return x

    def _survey(self, rows: NDArray[np.int64]) -> tuple[Counter[tuple[int, int]], Counter[str]]:
        """How often each (width, height) and each mode occurs, without decoding."""
        sizes: Counter[tuple[int, int]] = Counter()
        modes: Counter[str] = Counter()
        for start in range(0, len(rows), CHUNK):
            with quiet_pillow():
                for name, encoded in self._files(rows[start : start + CHUNK]):
                    with reading(name):
                        image = open_image(encoded)
                        sizes[image.size] += 1
                        modes[image.mode] += 1
        return sizes, modes

    def _count_pixels(self, rows: NDArray[np.int64], shape: tuple[int, int, int]) -> NDArray[np.int64]:
        """How often each channel takes each of the 256 values, [C, 256]: exact, whatever the number of pixels."""
        counts = np.zeros((shape[0], 256), dtype=np.int64)
        keep = 4 * len(rows) * int(np.prod(shape)) <= self._memory_limit
        kept = np.empty((len(rows), *shape), dtype=np.uint8) if keep else None
        for start in range(0, len(rows), CHUNK):
            pixels = self._decode(rows[start : start + CHUNK], shape)
            for channel in range(shape[0]):
                counts[channel] += np.bincount(pixels[:, channel].reshape(-1), minlength=256)
            if kept is not None:
                kept[start : start + CHUNK] = pixels
        self._kept = None if kept is None else (rows, kept)
        return counts

    def _pixels(self, rows: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Pixels of the rows, [B, C, H, W], from those kept where all of them are."""
        if self._kept is not None and self._kept[1].shape[1:] == shape:
            known, pixels = self._kept
            position = np.minimum(np.searchsorted(known, rows), len(known) - 1)
            if np.array_equal(known[position], rows):
                return pixels[position]
        return self._decode(rows, shape)

    def _decode(self, rows: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        channels, height, width = shape
        pixels = np.empty((len(rows), *shape), dtype=np.uint8)
        with quiet_pillow():
            for position, (name, encoded) in enumerate(self._files(rows)):
                with reading(name):
                    pixels[position] = pixels_of(open_image(encoded), channels, height, width)
        return pixels

    def _files(self, rows: NDArray[np.int64]) -> Iterator[tuple[str, bytes]]:
        """Of each row the name a person knows the image by, and the encoded image."""
        column = self._encoded[rows.tolist()].column(self._column).combine_chunks()
        contents, paths = column.field("bytes").to_pylist(), column.field("path").to_pylist()
        for row, content, path in zip(rows.tolist(), contents, paths, strict=True):
            name = path if path and self._read_paths else self.labels.place(row)
            with reading(name):
                encoded = self._content(content, path)
            yield name, encoded

    def _content(self, content: bytes | None, path: str | None) -> bytes:
        if content is not None:
            return content
        if path is None or not self._read_paths:
            raise ValueError("the row holds no image bytes")
        return encoded_image(Path(path))


def capped(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) with no side over 64 pixels, the proportion kept."""
    factor = min(1.0, LARGEST / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def size_notes(sizes: Counter[tuple[int, int]], used: tuple[int, int]) -> tuple[str, ...]:
    """What was resized; nothing when every training image has the size used."""
    other = sum(count for size, count in sizes.items() if size != used)
    if not other:
        return ()
    return (
        f"images of {len(sizes)} size{'s' * (len(sizes) > 1)}: {other:,} of {sizes.total():,} training images resized "
        f"to {used[0]} x {used[1]} pixels (width x height)",
    )


def moments(counts: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of pixels in 0..1, from counts [C, 256]; a flat channel has std 1."""
    value = np.arange(256) / 255
    total = counts.sum(axis=1)
    mean = (counts * value).sum(axis=1) / total
    std = np.sqrt((counts * (value - mean[:, None]) ** 2).sum(axis=1) / total)
    flat = (counts > 0).sum(axis=1) == 1
    return tuple(map(float, mean)), tuple(map(float, np.where(flat, 1.0, std)))

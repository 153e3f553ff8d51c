"""Arrays and tensors: features standardized one by one, images channel by channel.

Letters in shapes: N examples, F features, C channels, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from ravine.data.dataset import Data
from ravine.data.examples import Parts, assemble
from ravine.data.preprocessing import Preprocessing, Scale, Target
from ravine.data.targets import Labels, label_array
from ravine.errors import DataError
from ravine.types import Task

__all__ = ["ArrayExamples", "ArrayPreprocessing", "from_arrays"]

CHUNK = 1024  # examples standardized together, in float64, so that no float64 copy of all is made


class ArrayPreprocessing(Preprocessing):
    """(value - mean) / std, with one mean and std for each first index of an example, or one for all."""

    kind: Literal["array"] = "array"
    shape: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    pixels: bool = False  # trained on uint8 images: bytes are divided by 255, floats lie in 0..1
    mean: tuple[float, ...]  # [shape[0]] or [1], after the division
    std: tuple[Scale, ...]

    @model_validator(mode="after")
    def check_lengths(self) -> ArrayPreprocessing:
        if len(self.mean) not in (1, self.shape[0]) or len(self.mean) != len(self.std):
            raise ValueError(f"{len(self.mean)} means and {len(self.std)} stds do not fit shape {list(self.shape)}")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        return self.shape

    def to_tensor(self, raw: Any) -> Tensor:
        """[N, *shape] float32 of an array or tensor [N, *shape]; one example [*shape] is taken as N = 1.

        For one channel, [N, H, W] and [H, W] will do. Raises DataError on another shape, texts, nan or infinity.
        """
        array = as_array(raw, "x")
        shape = self.shape
        short = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape  # the channel of grey images may be left out
        if array.shape in (shape, short):
            array = array.reshape(1, *shape)
        elif array.shape[1:] == short:
            array = array.reshape(len(array), *shape)
        if array.shape[1:] != shape or not len(array):
            raise DataError(
                f"x has shape {list(array.shape)}; this model needs [N, {', '.join(map(str, shape))}], N at least 1."
            )
        check_finite(array)
        if self.pixels and array.dtype != np.uint8 and not (array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"x lies in {array.min():g} to {array.max():g}; this model was trained on uint8 images: "
                "give uint8, or floats in 0..1."
            )
        return self.prepare(array)

    def prepare(self, array: NDArray[Any]) -> Tensor:
        """[N, *shape] float32 of an array of that shape; computed in float64, so large offsets lose nothing."""
        ones = (1,) * (len(self.shape) - 1)
        mean, std = (np.array(each).reshape(-1, *ones) for each in (self.mean, self.std))
        unit = 255 if self.pixels and array.dtype == np.uint8 else 1
        x = np.empty((len(array), *self.shape), dtype=np.float32)
        with np.errstate(over="ignore"):
            for start in range(0, len(array), CHUNK):
                x[start : start + CHUNK] = (array[start : start + CHUNK] / unit - mean) / std
        check_finite(x)
        return torch.from_numpy(x)


@dataclass(frozen=True, eq=False)
class ArrayExamples:
    """Examples already in memory: x [N, *shape], numbers."""

    x: NDArray[Any]
    labels: Labels

    @property
    def kind(self) -> str:
        return "array"

    def fit(self, train: NDArray[np.int64], target: Target) -> tuple[ArrayPreprocessing, tuple[str, ...]]:
        """Features and images by their first index, anything else as a whole."""
        shape = self.x.shape[1:]
        pixels = self.x.dtype == np.uint8 and len(shape) == 3
        by_first = len(shape) in (1, 3)
        mean, std = moments(self.x, train, by_first=by_first, unit=255 if pixels else 1)
        if not (np.isfinite(mean).all() and np.isfinite(std).all()):
            raise DataError("x holds numbers too large to standardize; rescale them.")
        how = {1: "each feature standardized", 3: "images, each channel standardized"}.get(
            len(shape), "standardized as one"
        )
        notes = (f"arrays of shape {list(shape)}: {'bytes divided by 255, ' if pixels else ''}{how}",)
        found = ArrayPreprocessing(
            target=target, shape=shape, pixels=pixels, mean=tuple(mean.tolist()), std=tuple(std.tolist())
        )
        return found, notes

    def read(self, rows: NDArray[np.int64], preprocessing: Preprocessing) -> Tensor:
        assert isinstance(preprocessing, ArrayPreprocessing)
        return preprocessing.prepare(self.x[rows])


def moments(
    x: NDArray[Any], rows: NDArray[np.int64], *, by_first: bool, unit: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (1 where constant) of x[rows] / unit, for each first index of an example or for all."""
    taught = x[rows].reshape(len(rows), x.shape[1] if by_first else 1, -1)
    starts = range(0, len(rows), CHUNK)
    count = len(rows) * taught.shape[2]
    with np.errstate(over="ignore", invalid="ignore"):
        mean = sum((taught[i : i + CHUNK] / unit).sum(axis=(0, 2)) for i in starts) / count
        spread = sum(((taught[i : i + CHUNK] / unit - mean[:, None]) ** 2).sum(axis=(0, 2)) for i in starts) / count
    constant = (taught.min(axis=(0, 2)) == taught.max(axis=(0, 2))) | (spread == 0)
    return mean, np.where(constant, 1.0, np.sqrt(spread))


def from_arrays(
    x: Any,
    y: Any,
    *,
    task: Task | None = None,
    seed: int = 0,
    test: tuple[Any, Any] | None = None,
    name: str = "arrays",
) -> Data:
    """A data set of arrays or tensors in memory.

    x: [N, F] features, each standardized; [N, H, W] or [N, C, H, W] images, each channel standardized, uint8
    divided by 255 first; anything else is standardized as a whole. y: [N], numbers or names of classes.
    test: a further (x, y), used as the test split as it is. Raises DataError on token ids, texts, nan, infinity.
    """
    train = array_examples(x, y, "x", "y")
    further = None if test is None else array_examples(test[0], test[1], "test x", "test y")
    if further is not None and further.x.shape[1:] != train.x.shape[1:]:
        raise DataError(f"test x has examples of shape {list(further.x.shape[1:])}, x of {list(train.x.shape[1:])}.")
    return assemble(name, Parts(train, test=further), task=task, seed=seed, memory_limit=None)


def array_examples(x: Any, y: Any, x_name: str, y_name: str) -> ArrayExamples:
    """Checked examples: x with a channel dimension where it holds grey images, y as labels."""
    values = as_array(x, x_name)
    if values.ndim < 2 or not values.size:
        raise DataError(
            f"{x_name} has shape {list(values.shape)}; examples are needed, [N, F], [N, H, W] or [N, C, H, W]."
        )
    if values.dtype.kind in "iu" and values.dtype != np.uint8:
        raise DataError(
            f"{x_name} has dtype {values.dtype}: whole numbers look like token ids, which are not supported. If they are "
            f"amounts, write {x_name.split()[-1]}.astype('float32')."
        )
    if values.ndim == 4 and values.shape[3] in (1, 3) and values.shape[1] not in (1, 2, 3, 4):
        raise DataError(
            f"{x_name} has shape {list(values.shape)}, which looks like [N, H, W, C]; images are [N, C, H, W]: "
            "write x.transpose(0, 3, 1, 2) (of a tensor, x.permute(0, 3, 1, 2))."
        )
    check_finite(values)
    labels = label_array(as_array(y, y_name, texts=True), y_name)
    if len(labels) != len(values):
        raise DataError(
            f"{x_name} has {len(values)} examples and {y_name} {len(labels)}; one target per example is needed."
        )
    return ArrayExamples(values[:, None] if values.ndim == 3 else values, labels)


def as_array(values: Any, name: str, *, texts: bool = False) -> NDArray[Any]:
    """A numpy array of numbers (or texts); a DataFrame gives its values. Raises DataError on anything else."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    array = np.asarray(values)
    if array.dtype.kind not in ("biufOU" if texts else "biuf"):
        raise DataError(
            f"{name} has dtype {array.dtype}; an array of numbers is needed. A table with texts is read from "
            "a CSV or Parquet file: load('file.csv', target='NAME')."
        )
    return array


def check_finite(x: NDArray[Any]) -> None:
    """Raise DataError naming the first example with nan or infinity."""
    if x.dtype.kind != "f":
        return
    for start in range(0, len(x), CHUNK):
        part = x[start : start + CHUNK].reshape(len(x[start : start + CHUNK]), prod(x.shape[1:]))
        bad = np.flatnonzero(~np.isfinite(part).all(axis=1))
        if len(bad):
            raise DataError(
                f"x[{start + int(bad[0])}] holds nan, infinity or a far too large number; every number must be finite."
            )

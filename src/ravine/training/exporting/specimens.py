"""Raw examples to try an exported model on, made from what the preprocessing knows: a folder has no data to take them from.

Letters in shapes: N examples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ravine.data import ArrayPreprocessing, ImagePreprocessing, Preprocessing, TablePreprocessing
from ravine.data.columns import Column, NumericColumn
from ravine.training.exporting.reading import table_rows

__all__ = ["specimens"]

Raw = Any


def specimens(preprocessing: Preprocessing, description: Mapping[str, Any], count: int) -> tuple[Raw, Tensor]:
    """N examples as `Predictor.predict` takes them, and the same as the exported model does.

    Numbers are spread as in training, some three deviations away; one cell of eight is missing, one category in the list's
    length is unknown. The same ones every time.
    """
    draw = np.random.default_rng(count)
    if isinstance(preprocessing, TablePreprocessing):
        import pandas as pd

        cells = {each.name: _cells(each, count, draw) for each in preprocessing.columns}
        rows = [{name: column[row] for name, column in cells.items()} for row in range(count)]
        return pd.DataFrame(cells), torch.from_numpy(table_rows(description, rows))
    shape = (count, *preprocessing.input_shape)
    if isinstance(preprocessing, ImagePreprocessing) or (
        isinstance(preprocessing, ArrayPreprocessing) and preprocessing.pixels
    ):
        pixels = draw.integers(0, 256, shape, dtype=np.uint8)
        return pixels, torch.from_numpy(pixels)
    assert isinstance(preprocessing, ArrayPreprocessing)
    ones = (1,) * (len(preprocessing.shape) - 1)
    mean, std = (np.array(each).reshape(-1, *ones) for each in (preprocessing.mean, preprocessing.std))
    numbers = mean + std * draw.normal(size=shape)
    return numbers, torch.from_numpy(numbers)


def _cells(column: Column, count: int, draw: np.random.Generator) -> list[Any]:
    missing = draw.random(count) < 1 / 8
    if isinstance(column, NumericColumn):
        numbers = column.mean + column.std * draw.normal(size=count)
        return list(np.where(missing, np.nan, numbers))
    texts = [*column.categories, "a text that no column lists"]
    return [None if gone else texts[i] for gone, i in zip(missing, draw.integers(len(texts), size=count), strict=True)]

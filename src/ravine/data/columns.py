"""Columns of a table: a raw cell becomes a standardized number, or a one in the place of its category.

Each column is a small value that knows what its training cells taught it, so that new rows are prepared in the
same way. Letters in shapes: N rows, W places of a column in the prepared row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ravine.data.preprocessing import Frozen, Scale
from ravine.data.targets import Place, as_number, number_name
from ravine.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["MISSING", "CategoricalColumn", "Column", "NumericColumn", "as_numbers", "as_texts"]

MISSING = "missing"  # the category of a cell without a value
MARKERS = frozenset(["", "?", "nan", "NaN", "NA", "N/A", "n/a", "null", "NULL", "None", "<NA>", "#N/A"])


class NumericColumn(Frozen):
    """(value - mean) / std, with the training median where a value is missing: one place."""

    kind: Literal["numeric"] = "numeric"
    name: str
    median: float  # of the training cells present, in the column's own units
    mean: float  # of the training cells, after filling
    std: Scale  # of the training cells, after filling; 1 for a constant column

    @property
    def width(self) -> int:
        return 1

    def encode(self, cells: pd.Series[Any], place: Place) -> NDArray[np.float32]:
        """[N, 1]. Raises DataError naming the row of a text or an infinite number."""
        numbers, text = as_numbers(cells)
        if text.any():
            row = int(np.flatnonzero(text)[0])
            raise DataError(
                f"{place(row)}: column {self.name!r} is {cells.iloc[row]!r}; it must be a number, as it was in training."
            )
        check_finite(numbers, self.name, place)
        filled = np.where(np.isnan(numbers), self.median, numbers)
        with np.errstate(over="ignore"):
            scaled = ((filled - self.mean) / self.std).astype(np.float32)
        check_finite(scaled, self.name, place)
        return scaled[:, None]


class CategoricalColumn(Frozen):
    """One place per category seen in training, 1 where the cell is that category; all 0 for an unseen one.

    With `rest`, a further last place stands for the rarer categories that training had besides those listed,
    and an unseen one goes there too.
    """

    kind: Literal["categorical"] = "categorical"
    name: str
    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    rest: bool = False

    @model_validator(mode="after")
    def check_different(self) -> CategoricalColumn:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"column {self.name!r} lists a category twice")
        return self

    @property
    def width(self) -> int:
        return len(self.categories) + int(self.rest)

    def encode(self, cells: pd.Series[Any], place: Place) -> NDArray[np.float32]:  # noqa: ARG002 (any cell is a category)
        """[N, W], zeros and ones."""
        codes, different = factorize(as_texts(cells))
        index = {category: position for position, category in enumerate(self.categories)}
        other = len(self.categories) if self.rest else -1
        position = np.array([find(text, index, other) for text in different], dtype=np.int64)[codes]
        hot = np.zeros((len(codes), self.width), dtype=np.float32)
        known = np.flatnonzero(position >= 0)
        hot[known, position[known]] = 1
        return hot


Column = Annotated[NumericColumn | CategoricalColumn, Field(discriminator="kind")]


def find(text: str, index: dict[str, int], other: int) -> int:
    """Place of a category; '1.0' is found as '1' where only the one way of writing was seen in training."""
    if text in index:
        return index[text]
    number = as_number(text)
    return other if number is None else index.get(number_name(number), other)


def factorize(texts: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """For each cell its position among the different texts, and these."""
    import pandas as pd

    codes, different = pd.factorize(texts)
    return codes.astype(np.int64), [str(text) for text in different]


def as_numbers(cells: pd.Series[Any]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers, [N] (nan where missing), and where a text stands instead, [N]. False and True are 0 and 1."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(cells.dtype) or pd.api.types.is_numeric_dtype(cells.dtype):
        return cells.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(cells), dtype=bool)
    objects = cells.astype(object)
    missing = absent(objects)
    numbers = pd.to_numeric(objects.mask(missing), errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers, np.isnan(numbers) & ~missing


def as_texts(cells: pd.Series[Any]) -> NDArray[Any]:
    """Cells as texts, [N] objects: numbers by name, truth values as False and True, nothing as 'missing'."""
    import pandas as pd

    objects = cells.astype(object)
    missing = absent(objects)
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        texts = [number_name(value) if np.isfinite(value) else str(value) for value in objects.where(~missing, 0)]
    else:
        texts = [_text(value) for value in objects]
    return np.where(missing, MISSING, np.array(texts, dtype=object))


def _text(value: object) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
        return number_name(value)
    return str(value).strip()


def absent(objects: pd.Series[Any]) -> NDArray[np.bool_]:
    """Which cells hold no value, [N]: None, nan, or a text that says so ('?', 'NA', ...)."""
    marker = np.array([isinstance(cell, str) and cell.strip() in MARKERS for cell in objects], dtype=bool)
    return np.asarray(objects.isna().to_numpy(dtype=bool) | marker)


def check_finite(numbers: NDArray[Any], name: str, place: Place) -> None:
    """Raise DataError naming the first infinite number of a column."""
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        raise DataError(
            f"{place(int(infinite[0]))}: column {name!r} holds an infinite (or far too large) number; "
            "every number must be finite: mend the cell, or leave it empty."
        )

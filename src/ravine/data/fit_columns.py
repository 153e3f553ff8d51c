"""What the training rows of a table teach: which columns are numbers, their scale, which categories there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ravine.data.columns import MISSING, CategoricalColumn, Column, NumericColumn, as_numbers, as_texts, check_finite
from ravine.data.targets import Place, natural
from ravine.errors import DataError, nearest

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["fit_columns"]

MOST_CATEGORIES = 100  # places a column may take; rarer categories share one more
IDENTIFIER = 0.95  # a text column with more different values than this share of its cells names the rows

Fitted = tuple[Column | None, tuple[str, ...]]


def fit_columns(
    frame: pd.DataFrame, train: NDArray[np.int64], target: str, categorical: Sequence[str], place: Place
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Columns in the order of the table, and notes on cells filled and columns left out.

    train: rows to learn from. Whether a column holds numbers is read off all rows, so that a text is found
    wherever it stands. categorical: columns whose numbers are names.
    """
    names = [str(name) for name in frame.columns if name != target]
    for name in categorical:
        if name not in names:
            raise DataError(f"--categorical {name}: there is no such column; {nearest(name, names)}")
    columns: list[Column] = []
    notes: tuple[str, ...] = ()
    for name in names:
        column, said = fit_column(frame[name], name, train, name in categorical, place)
        notes += said
        if column is not None:
            columns.append(column)
    if not columns:
        raise DataError(
            f"no column is left to learn from besides the target {target!r}"
            + (f" ({'; '.join(notes[:3])})" if notes else "")
            + ": a column of numbers or of repeated texts is needed."
        )
    return tuple(columns), notes


def fit_column(cells: pd.Series[Any], name: str, train: NDArray[np.int64], named: bool, place: Place) -> Fitted:
    """One column, or None with the reason when it is left out. named: the caller wants its numbers as categories."""
    numbers, text = as_numbers(cells)
    present = ~np.isnan(numbers) | text
    if not present[train].any():
        return None, (f"{name}: left out, no training row has a value",)
    if named:
        return fit_categories(cells, name, train, present)
    if not text.any():
        check_finite(numbers, name, place)
        return fit_numbers(numbers, name, train)
    if text.sum() < present.sum() / 2:
        row = int(np.flatnonzero(text)[0])
        raise DataError(
            f"{place(row)}: column {name!r} is {str(cells.iloc[row])!r}, where most cells are numbers: mend the cell, "
            f"or write --categorical {name} to read the column as categories."
        )
    different = cells.iloc[train][present[train]].astype(str).nunique()
    if different > max(1, IDENTIFIER * present[train].sum()):
        return None, (f"{name}: left out, its texts differ in (nearly) every row and so name rows",)
    return fit_categories(cells, name, train, present)


def fit_numbers(numbers: NDArray[np.float64], name: str, train: NDArray[np.int64]) -> Fitted:
    """Median, mean and std of the training cells; std 1 for a constant column."""
    missing = np.isnan(numbers)
    taught = numbers[train]
    with np.errstate(over="ignore", invalid="ignore"):
        median = float(np.nanmedian(taught))
        filled = np.where(np.isnan(taught), median, taught)
        mean, std = float(filled.mean()), float(filled.std())
    if not np.isfinite([median, mean, std]).all():
        raise DataError(
            f"column {name!r} holds numbers too large to standardize (up to {np.nanmax(abs(taught)):g}); rescale it."
        )
    constant = bool(filled.min() == filled.max()) or std == 0
    notes = (
        (f"{name}: {missing.sum():,} missing cells filled with the training median {median:g}",)
        if missing.any()
        else ()
    )
    return NumericColumn(name=name, median=median, mean=mean, std=1.0 if constant else std), notes


def fit_categories(cells: pd.Series[Any], name: str, train: NDArray[np.int64], present: NDArray[np.bool_]) -> Fitted:
    """The categories of the training cells, the commonest hundred when there are more."""
    counts = Counter(as_texts(cells.iloc[train]).tolist())
    notes: tuple[str, ...] = ()
    if not present.all():
        notes += (f"{name}: {(~present).sum():,} missing cells are a category of their own, {MISSING!r}",)
    rest = len(counts) > MOST_CATEGORIES
    if rest:
        notes += (f"{name}: {len(counts):,} categories; the {MOST_CATEGORIES} commonest are kept, the rest is one",)
    commonest = sorted(counts, key=lambda text: (-counts[text], natural(text)))[:MOST_CATEGORIES]
    return CategoricalColumn(name=name, categories=tuple(sorted(commonest, key=natural)), rest=rest), notes

"""The target column: told apart as classes or numbers, learned as a `Target`, encoded for the loss.

Letters in shapes: N rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ravine.data.preprocessing import Target
from ravine.errors import DataError
from ravine.types import Task

__all__ = [
    "Labels",
    "Place",
    "check_complete",
    "decide_task",
    "encode",
    "fit_target",
    "label_array",
    "number_name",
    "row_numbers",
]

Place = Callable[..., str]
"""Where a person finds rows, given their positions: place(5, 7) is "rows 7, 9 of cats.csv"."""

FEW = 20  # whole numbers with at most this many different values are taken as classes


@dataclass(frozen=True, eq=False)
class Labels:
    """The raw target of every row of one file or folder."""

    name: str  # of the column
    values: NDArray[
        Any
    ]  # [N]: numbers (missing: nan; with `declared`, missing: below 0) or str objects (missing: None)
    place: Place
    declared: tuple[str, ...] = ()  # names of the classes when `values` are indices into them

    def __len__(self) -> int:
        return len(self.values)

    def missing(self) -> NDArray[np.bool_]:
        """Which rows have no label, [N]."""
        if self.declared:
            return np.asarray(self.values < 0)
        if self.numeric:
            return np.asarray(np.isnan(self.values))
        return np.array([value is None for value in self.values], dtype=bool)

    @property
    def numeric(self) -> bool:
        return self.values.dtype.kind in "iuf"

    def named(self) -> tuple[list[str], NDArray[np.int64]]:
        """The different labels by name, and for each row its position among them, [N]."""
        if self.declared:
            return list(self.declared), self.values.astype(np.int64)
        different, position = np.unique(self.values, return_inverse=True)
        names = [number_name(value) for value in different] if self.numeric else list(different)
        return names, position.astype(np.int64)


def number_name(value: float) -> str:
    """A number as the name of a class or category; whole numbers lose their '.0'.

    >>> number_name(3.0), number_name(2.5)
    ('3', '2.5')
    """
    return str(int(value)) if float(value).is_integer() and abs(value) < 2**53 else repr(float(value))


def natural(name: str) -> tuple[int, float, str]:
    """Sorting key: numbers in their own order, then texts in theirs."""
    number = as_number(name)
    return (1, 0.0, name) if number is None else (0, number, name)


def as_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def row_numbers(numbers: Sequence[int]) -> str:
    """Rows as a person says them.

    >>> row_numbers([3]), row_numbers([3, 9])
    ('row 3', 'rows 3, 9')
    """
    return ("row " if len(numbers) == 1 else "rows ") + ", ".join(map(str, numbers))


def check_complete(labels: Labels) -> None:
    """Raise DataError naming the first rows that have no label, or an infinite one."""
    missing = np.flatnonzero(labels.missing())
    if len(missing):
        raise DataError(
            f"{listed(labels, missing)}: no value in the target column {labels.name!r}. "
            "Every row needs one: fill it in, or take the row out."
        )
    if labels.numeric and not np.all(np.isfinite(labels.values)):
        infinite = np.flatnonzero(~np.isfinite(labels.values))
        raise DataError(
            f"{listed(labels, infinite)}: the target {labels.name!r} is infinite; it must be a finite number."
        )


def listed(labels: Labels, rows: Sequence[int] | NDArray[np.int64]) -> str:
    """'rows 3, 9, 11 of a.csv and 4 more', of at most three rows."""
    shown = labels.place(*(int(row) for row in rows[:3]))
    return shown + (f" and {len(rows) - 3:,} more" if len(rows) > 3 else "")


def decide_task(labels: Labels, wanted: Task | None) -> Task:
    """Classes or a number to predict? Told apart by the target, unless the caller says which.

    Texts, truth values and declared classes are classes; so are whole numbers with at most 20 different
    values that repeat (at most half of the rows differ). Other numbers are regression.
    Raises DataError when the wish cannot be met, or there is nothing to learn.
    """
    names, position = labels.named()
    count = len(np.unique(position))
    repeats = count <= len(labels) / 2
    if count < 2:
        raise DataError(
            f"the target column {labels.name!r} is {names[int(position[0])]!r} in every row; "
            "learning needs at least two different values: check --target."
        )
    whole = labels.numeric and not labels.declared and bool(np.all(labels.values == np.round(labels.values)))
    if not labels.numeric or labels.declared:
        _check_text(labels, wanted, names, position)
    task: Task = wanted or (
        "classification"
        if not labels.numeric or labels.declared or (whole and count <= FEW and repeats)
        else "regression"
    )
    if task == "classification" and not repeats:
        raise DataError(
            f"the target column {labels.name!r} has {count:,} different values in {len(labels):,} rows, too many to be "
            "classes: check --target" + (", or write --task regression." if labels.numeric else ".")
        )
    return task


def _check_text(labels: Labels, wanted: Task | None, names: list[str], position: NDArray[np.int64]) -> None:
    """Raise DataError when texts stand where numbers were asked for, or among what looks like numbers to predict."""
    number = np.array([as_number(name) is not None for name in names])
    mostly_numbers = number[position].mean() > 0.5 and number.sum() > FEW
    if wanted == "regression" or (mostly_numbers and wanted is None and not labels.declared):
        if labels.declared:
            raise DataError(
                f"the target {labels.name!r} is declared as classes ({names[0]}, ...); leave --task regression out."
            )
        texts = np.flatnonzero(~number[position])
        row = int(texts[0]) if len(texts) else 0
        raise DataError(
            f"{labels.place(row)}: the target {labels.name!r} is {names[int(position[row])]!r}, and regression needs a "
            "number in every row: mend the cell, or write --task classification."
        )


def fit_target(labels: Labels, train: NDArray[np.int64], task: Task) -> Target:
    """Classes of all rows in natural order, or mean and standard deviation of the training rows `train`."""
    if task == "classification":
        names, _ = labels.named()
        return Target(name=labels.name, classes=labels.declared or tuple(sorted(names, key=natural)))
    values = labels.values[train].astype(np.float64)
    if values.min() == values.max():
        raise DataError(
            f"the target {labels.name!r} is {values[0]:g} in every training row; "
            "regression needs values that differ: check --target."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = float(values.mean()), float(values.std())
    if not (np.isfinite(mean) and np.isfinite(std) and std > 0):
        raise DataError(f"the target {labels.name!r} has values too far apart to standardize; rescale it.")
    return Target(name=labels.name, mean=mean, std=std)


def encode(labels: Labels, target: Target) -> Tensor:
    """Labels in the model's units, [N]: int64 class indices, or float32 standardized numbers.

    Raises DataError for a class that training did not know, with the row it stands in.
    """
    check_complete(labels)
    if not target.classes:
        if not labels.numeric or labels.declared:
            raise DataError(
                f"{labels.place(0)}: the target {labels.name!r} holds names; this model was trained to predict numbers."
            )
        with np.errstate(over="ignore"):
            scaled = ((labels.values.astype(np.float64) - target.mean) / target.std).astype(np.float32)
        beyond = np.flatnonzero(np.isinf(scaled))
        if len(beyond):
            raise DataError(f"{listed(labels, beyond)}: the target {labels.name!r} is far larger than any in training.")
        return torch.from_numpy(scaled)
    names, position = labels.named()
    known = {name: index for index, name in enumerate(target.classes)}
    code = np.array([known.get(name, -1) for name in names], dtype=np.int64)[position]
    unknown = np.flatnonzero(code < 0)
    if len(unknown):
        strange = sorted({names[int(position[row])] for row in unknown}, key=natural)
        raise DataError(
            f"{listed(labels, unknown)}: class {', '.join(map(repr, strange[:3]))} was not among the training classes "
            f"({', '.join(target.classes[:10])}{', ...' if len(target.classes) > 10 else ''})."
        )
    return torch.from_numpy(code)


def label_array(values: NDArray[Any], name: str) -> Labels:
    """Labels of an array [N] (or [N, 1]): numbers, or names of classes. Raises DataError on another shape."""
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or not len(values):
        raise DataError(f"{name} has shape {list(values.shape)}; one target per example is needed, [N].")
    if values.dtype.kind not in "iuf":
        values = np.array([None if _nothing(value) else str(value) for value in values], dtype=object)
    return Labels(name, values, lambda *rows: ", ".join(f"{name}[{row}]" for row in rows))


def _nothing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))

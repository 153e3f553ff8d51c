"""Rows of a table as an exported model takes them, by its description alone.

This file needs NumPy and nothing of Ravine: copy it to where the model is used.

Letters in shapes: N rows, K columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["table_rows"]


def table_rows(description: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> NDArray[np.float64]:
    """[N, K] of rows that map the name of a column to its cell: a number, a text, None or nan.

    description: the JSON that lies in the exported file. Raises ValueError for a text where a number belongs, and KeyError
    for a column that a row lacks.
    """
    columns, marks = description["input"]["columns"], set(description["input"]["missing_marks"])
    return np.array([[_number(column, row[column["name"]], marks) for column in columns] for row in rows], dtype=float)


def _number(column: Mapping[str, Any], cell: Any, marks: set[str]) -> float:
    nothing = cell is None or cell != cell or (isinstance(cell, str) and cell.strip() in marks)
    if column["kind"] == "numeric":
        return float("nan") if nothing else float(cell)
    text = column["missing"] if nothing else str(cell).strip()
    for spelling in (text, _whole(text)):
        if spelling in column["categories"]:
            return float(column["categories"].index(spelling))
    return float(column["unknown"])


def _whole(text: str) -> str:
    """'3.0' as '3', which is how a category that is a number is named; other texts as they are."""
    try:
        number = float(text)
        return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    except ValueError:
        return text

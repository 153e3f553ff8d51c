"""Tables: rows of named cells to standardized numbers and one-hot categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from ravine.data.columns import Column
from ravine.data.fit_columns import fit_columns
from ravine.data.preprocessing import Preprocessing, Target
from ravine.data.table_files import Table, listed, read_table
from ravine.data.targets import Labels, Place, row_numbers
from ravine.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableExamples", "TablePreprocessing"]


class TablePreprocessing(Preprocessing):
    """The columns of the training table, in order; further columns of a new table are left aside."""

    kind: Literal["table"] = "table"
    columns: Annotated[tuple[Column, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def check_different(self) -> TablePreprocessing:
        if len({column.name for column in self.columns}) < len(self.columns):
            raise ValueError("a column is listed twice")
        return self

    @property
    def input_shape(self) -> tuple[int, ...]:
        return (sum(column.width for column in self.columns),)

    def to_tensor(self, raw: Any) -> Tensor:
        """[N, features] float32 from a DataFrame, a dict per row, or the path of a CSV or Parquet file.

        Raises DataError naming columns that are missing, and the row of a cell that cannot be used.
        """
        import pandas as pd

        if isinstance(raw, str | Path):
            table = read_table([Path(raw)])
            return self.prepare(table.frame, table.place, table.files[0])
        if isinstance(raw, Mapping):
            raw = [raw]
        if isinstance(raw, Sequence) and all(isinstance(row, Mapping) for row in raw):
            raw = pd.DataFrame.from_records(list(raw))
        if not isinstance(raw, pd.DataFrame):
            raise DataError(
                f"got {type(raw).__name__}; this model reads tables: give a DataFrame, a list of dicts "
                "(column name: value), or the path of a CSV or Parquet file."
            )
        return self.prepare(raw, lambda *rows: f"{row_numbers([row + 1 for row in rows])} (counting from 1)")

    def prepare(self, frame: pd.DataFrame, place: Place, name: str = "the table") -> Tensor:
        """A frame's rows, [N, features] float32; place and name: how a person finds its rows."""
        if not len(frame):
            raise DataError(f"{name} has no rows; give at least one.")
        missing = [column.name for column in self.columns if column.name not in frame.columns]
        if missing:
            raise DataError(f"{name} lacks the columns {', '.join(missing[:10])}; it has: {listed(frame)}.")
        if not frame.columns.is_unique:
            raise DataError(f"{name} has two columns of one name; give every column a name of its own.")
        x = np.empty((len(frame), self.input_shape[0]), dtype=np.float32)
        start = 0
        for column in self.columns:
            x[:, start : start + column.width] = column.encode(frame[column.name], place)
            start += column.width
        return torch.from_numpy(x)


@dataclass(frozen=True, eq=False)
class TableExamples:
    """The rows of a table, with the names of columns to be read as categories."""

    table: Table
    labels: Labels
    categorical: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return "table"

    def fit(self, train: NDArray[np.int64], target: Target) -> tuple[TablePreprocessing, tuple[str, ...]]:
        table, notes = without_row_counter(self.table)
        columns, said = fit_columns(table.frame, train, target.name, self.categorical, table.place)
        return TablePreprocessing(target=target, columns=columns), notes + said

    def read(self, rows: NDArray[np.int64], preprocessing: Preprocessing) -> Tensor:
        assert isinstance(preprocessing, TablePreprocessing)
        return preprocessing.prepare(
            self.table.frame.iloc[rows], lambda *at: self.table.place(*rows[list(at)].tolist()), self.table.files[0]
        )


def without_row_counter(table: Table) -> tuple[Table, tuple[str, ...]]:
    """The table without an unnamed first column 0, 1, 2, ...: pandas' index, written along with the data.

    It would tell the model the order of the file, which in many files is the order of the classes.
    """
    if table.frame.columns[0] != "":
        return table, ()
    return replace(table, frame=table.frame.iloc[:, 1:]), (
        "the unnamed first column is left out: an index written along with the data",
    )

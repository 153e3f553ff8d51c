"""CSV and Parquet files as tables: read with pandas, refused in one line when damaged or ambiguous."""

from __future__ import annotations

import csv
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from ravine.data.columns import as_numbers, as_texts
from ravine.data.targets import Labels, row_numbers
from ravine.engines.free_memory import free_memory
from ravine.errors import DataError, nearest
from ravine.limits import TABLE_COLUMNS, TABLE_HEADER

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLE_SUFFIXES", "Table", "read_table", "table_labels"]

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of one or more files, and where each stands."""

    frame: pd.DataFrame  # index 0 ... N - 1
    files: tuple[str, ...]
    file: NDArray[np.int64]  # [N], position in `files`
    number: NDArray[np.int64]  # [N], from 1, as a person counts rows in the file: the header of a CSV is row 1

    def place(self, *rows: int) -> str:
        """'rows 7, 9 of a.csv (the header is row 1)'."""
        said = []
        for file in dict.fromkeys(int(self.file[row]) for row in rows):
            numbers = [int(self.number[row]) for row in rows if self.file[row] == file]
            name = self.files[file]
            header = " (the header is row 1)" if name.lower().endswith((".csv", ".tsv")) else ""
            said.append(f"{row_numbers(numbers)} of {name}{header}")
        return ", ".join(said)


def read_table(paths: Sequence[Path]) -> Table:
    """The rows of the files one after another; they must have the same columns.

    Raises DataError for a file that is missing, damaged, empty, not UTF-8 or has a column name twice.
    """
    import pandas as pd

    tables = [_read_one(path) for path in paths]
    first = tables[0].frame
    for path, table in zip(paths, tables, strict=True):
        if set(table.frame.columns) != set(first.columns):
            raise DataError(f"{path} has columns {listed(table.frame)}, but {paths[0]} has {listed(first)}.")
    return Table(
        frame=first if len(tables) == 1 else pd.concat([table.frame for table in tables], ignore_index=True),
        files=tuple(path.name for path in paths),
        file=np.repeat(np.arange(len(tables)), [len(table.frame) for table in tables]),
        number=np.concatenate([table.number for table in tables]),
    )


def listed(frame: pd.DataFrame) -> str:
    """The columns of a table, at most twenty."""
    names = [str(name) for name in frame.columns]
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def _read_one(path: Path) -> Table:
    if not path.is_file():
        raise DataError(f"there is no file {path}.")
    frame, first = (_read_parquet(path), 1) if path.suffix.lower() == ".parquet" else (_read_csv(path), 2)
    blank = frame.isna().all(axis=1).to_numpy() if first == 2 else np.zeros(len(frame), dtype=bool)
    number = np.flatnonzero(~blank) + first
    kept = frame if not blank.any() else frame[~blank].reset_index(drop=True).infer_objects()
    if not len(kept.columns) or not len(kept):
        raise DataError(f"{path} has no {'columns' if not len(kept.columns) else 'rows'}; a table needs both.")
    return Table(kept, (path.name,), np.zeros(len(kept), dtype=np.int64), number)


def _read_csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    with csv_errors(path):
        header, separator = read_header(path)
    check_names(path, header)
    check_memory(path, path.stat().st_size)
    with csv_errors(path):
        frame = pd.read_csv(
            path, sep=separator, encoding="utf-8-sig", na_values=["?"], skipinitialspace=True, low_memory=False,
            index_col=False, skip_blank_lines=False, compression=None,
        )  # fmt: skip
    frame.columns = pd.Index(header)
    return frame


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """What pandas or the csv module say about a damaged file, as one DataError."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # cells beyond the header would be dropped
            yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.object[error.start]:#04x}): save it as UTF-8, or write Parquet."
        ) from error
    except pd.errors.ParserWarning as error:
        raise DataError(f"{path} cannot be read as a table: a row has more cells than the header.") from error
    except DataError:
        raise
    except (ValueError, OSError, csv.Error) as error:
        reason = " ".join(str(error).removeprefix("Error tokenizing data. C error: ").split())
        raise DataError(f"{path} cannot be read as a table: {reason}.") from error


def read_header(path: Path) -> tuple[list[str], str]:
    """Column names and separator of a CSV: a comma, or a tab or semicolon where the header has no comma."""
    with path.open(encoding="utf-8-sig", newline="") as lines:
        first = lines.readline(TABLE_HEADER + 1)
        if len(first) > TABLE_HEADER:
            raise DataError(f"{path} has a first line of more than {TABLE_HEADER:,} characters: it is no table.")
        separator = next((each for each in (",", "\t", ";") if each in first), ",")
        lines.seek(0)
        header = next(csv.reader(lines, delimiter=separator, skipinitialspace=True), [])
    return [name.strip() for name in header], separator


def check_names(path: Path | str, names: Sequence[str]) -> None:
    """Raise DataError when a table has no columns or has two of one name."""
    if not any(names):
        raise DataError(f"{path} is empty; a table needs a first row with the names of its columns.")
    if len(names) > TABLE_COLUMNS:
        raise DataError(f"{path} has {len(names):,} columns; a table has at most {TABLE_COLUMNS:,}: leave some out.")
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path} has more than one column named {twice[0]!r}; give every column a name of its own.")


def check_memory(path: Path, least: int) -> None:
    """Raise DataError for a table that will take more bytes than are free, by what can be known before it is read."""
    free = free_memory(torch.device("cpu"))
    if least > free:
        raise DataError(
            f"{path} takes {least:,} bytes or more in memory, and {free:,} are free: give fewer rows or columns."
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    """By pyarrow's reader of one file: its reader of data sets, which pandas takes, may wait for ever on a damaged one."""
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            held = file.metadata
            check_names(path, file.schema_arrow.names)
            groups = [held.row_group(i).total_byte_size for i in range(held.num_row_groups)]
            check_memory(path, max(8 * held.num_rows * held.num_columns, sum(groups)))
            frame: pd.DataFrame = file.read().to_pandas()
        return frame.reset_index(drop=frame.index.name is None).rename(columns=str)
    except (MemoryError, DataError):
        raise
    except Exception as error:  # what pandas notes in a file may be anything, and it raises as many kinds
        raise DataError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error


def table_labels(table: Table, target: str | None) -> Labels:
    """The target column of a table. Raises DataError when it is not given or not there."""
    if target is None:
        raise DataError(
            f"{table.files[0]} is a table: say which column to predict, --target NAME, "
            f"with NAME one of: {listed(table.frame)}."
        )
    if target not in table.frame.columns:
        names = [str(name) for name in table.frame.columns]
        raise DataError(f"{table.files[0]} has no column {target!r} (--target); {nearest(target, names)}")
    return Labels(target, label_values(table.frame[target]), table.place)


def label_values(cells: pd.Series[Any]) -> NDArray[Any]:
    """[N]: numbers with nan where missing, or texts with None where missing."""
    import pandas as pd

    numbers, text = as_numbers(cells)
    truth = pd.api.types.is_bool_dtype(cells.dtype) or any(isinstance(cell, bool) for cell in cells.head(1))
    if not text.any() and not truth:
        return numbers
    texts = as_texts(cells)
    texts[np.isnan(numbers) & ~text] = None
    return texts

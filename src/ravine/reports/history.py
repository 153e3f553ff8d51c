"""The training curves of a run: columns of numbers out of `history/*.parquet`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import torch

from ravine.engines.free_memory import free_memory
from ravine.errors import FolderError

__all__ = ["EPOCH_COLUMNS", "STEP_COLUMNS", "Curves", "of_trial", "read_curves", "read_trial_numbers"]

EPOCH_COLUMNS = ("trial", "epoch", "step", "train_loss", "train_metric", "validation_loss", "validation_metric")
STEP_COLUMNS = ("step", "lr", "grad_norm", "update_ratio")

WHOLE = frozenset(["trial", "epoch", "step"])

Curves = Mapping[str, np.ndarray]
"""Column name -> values, all of one length [rows]."""


def read_curves(path: Path, columns: tuple[str, ...], trial: int | None = None) -> Curves | None:
    """The named columns, of all trials or of one; None when there is no such file.

    Raises FolderError when the file is not Parquet or lacks one of the columns.
    """
    if not path.is_file():
        return None
    try:
        with pyarrow.parquet.ParquetFile(path) as file:  # the reader of data sets may wait for ever on a damaged one
            check_columns(path, file, ("trial", *columns))
            table = file.read(columns=[*dict.fromkeys(("trial", *columns))], use_threads=False)
        held = {name: table.column(name).to_numpy() for name in table.column_names}
        rows = slice(None) if trial is None else held["trial"] == trial
        found = {name: held[name][rows] for name in columns}
    except (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError) as error:
        if isinstance(error, FolderError):
            raise
        raise damaged(path, (str(error).splitlines() or [type(error).__name__])[0]) from error
    for name in WHOLE.intersection(columns):
        if not np.isfinite(found[name]).all():
            raise damaged(path, f"the column {name} holds what is no number")
    return found


def check_columns(path: Path, file: pyarrow.parquet.ParquetFile, columns: tuple[str, ...]) -> None:
    """Raise FolderError where the file lacks a column, holds other than numbers in one, or unfolds beyond the free memory."""
    held, schema = file.metadata, file.schema_arrow
    for name in columns:
        if schema.names.count(name) != 1:
            raise damaged(path, f"it lacks the column {name}")
        kind = schema.field(name).type
        if not (pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind)):
            raise damaged(path, f"the column {name} holds {kind}, and numbers are needed")
    if 8 * held.num_rows * len(columns) > free_memory(torch.device("cpu")):
        raise damaged(path, f"its {held.num_rows:,} rows do not fit into the memory that is free")


def damaged(path: Path, reason: str) -> FolderError:
    return FolderError(f"{path} is damaged: {reason}; restore it, or run the command again with a new --out.")


def read_trial_numbers(path: Path) -> list[int]:
    """The trials that have a row, ascending; none when there is no such file."""
    curves = read_curves(path, ("trial",))
    return [] if curves is None else [int(number) for number in np.unique(curves["trial"])]


def of_trial(curves: Curves, trial: int) -> Curves:
    """The rows of one trial."""
    rows = curves["trial"] == trial
    return {name: values[rows] for name, values in curves.items()}

"""A finished run opened again: the examples it was trained on, as its folder names them.

The folder holds no examples. They are read anew from where they lay, divided by the run's own seed, and known by their
fingerprint to be the same; other examples are not passed off as these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from ravine.data import Data, MemorySplit, Split, from_arrays, load, read_labelled
from ravine.errors import DataError, FolderError, SettingError, nearest
from ravine.training import Predictor, read_json
from ravine.types import Task

__all__ = ["SPLITS", "Examples", "RunRecord", "read_run_record", "reopened"]

SPLITS = ("train", "validation")
"""The test split is for the hand-back alone."""


class Described(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str
    target: str | None = None
    task: Task
    fingerprint: str


class Source(BaseModel):
    """The options that named the data; runs of older versions have none recorded."""

    model_config = ConfigDict(extra="ignore")

    target: str | None = None
    task: Task | None = None
    test: str | None = None
    categorical: str | None = None


class RunRecord(BaseModel):
    """What config.json says of the data."""

    model_config = ConfigDict(extra="ignore")

    data: Described
    source: Source = Source()
    seed: int = 0
    batch_size: int = 64


class Examples(NamedTuple):
    rows: Split
    name: str  # train, validation, or what was read instead
    notes: tuple[str, ...]


def read_run_record(folder: Path) -> RunRecord:
    """Raises FolderError when config.json is missing or damaged."""
    path = folder / "config.json"
    try:
        return RunRecord.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the record"
        raise FolderError(
            f"{path} is damaged ({where}: {first['msg'].lower()}): run again, or take it from a copy."
        ) from error


def reopened(record: RunRecord, predictor: Predictor, data: Any = None, *, split: str = "train") -> Examples:
    """The run's training or validation rows.

    data: where they lie now, or arrays (x, y), or a `Data`, where the record cannot find them. A file with other
    examples is read in the layout the model was trained on, as `ravine evaluate --data` does, and the notes say so.
    Raises DataError when the examples are gone or have changed, SettingError for an unknown split.
    """
    if split not in SPLITS:
        raise SettingError(f"split is {split!r}; {nearest(split, SPLITS)}")
    found = _read(record, data)
    if found is not None and found.fingerprint == record.data.fingerprint:
        return Examples(found.train if split == "train" else found.validation, split, ())
    if data is None:
        raise DataError(
            f"{record.data.name} no longer holds the examples of this run: restore it, or give --data FILE with labelled "
            "examples of the same layout."
        )
    if not isinstance(data, str | Path):
        raise DataError(
            "data holds other examples than the run was trained on: give the same arrays in the same order."
        )
    x, y = read_labelled(predictor.preprocessing, str(data))
    note = f"{data} holds other examples than the run was trained on: all {len(y):,} labelled ones of it are looked at."
    return Examples(MemorySplit(x, y), Path(str(data)).name or str(data), (note,))


def _read(record: RunRecord, data: Any) -> Data | None:
    """The data divided as the run did; None where what was given cannot be divided so, but may have labelled rows."""
    if isinstance(data, Data):
        return data
    if isinstance(data, tuple):
        return from_arrays(*data, task=record.data.task, seed=record.seed)
    source = record.source
    if data is None and record.data.name == "arrays":
        raise DataError(
            "this run's data were arrays of a Python program, and no folder holds them: write "
            "ravine.inspect(DIR, data=(x, y)), or give --data FILE with labelled examples."
        )
    try:
        return load(
            record.data.name if data is None else str(data),
            target=source.target or record.data.target,
            task=source.task or record.data.task,
            seed=record.seed,
            test=source.test,
            categorical=[name for name in (source.categorical or "").split(",") if name],
        )
    except DataError:
        if data is None:
            raise
        return None

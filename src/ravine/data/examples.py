"""What a kind of data has to offer, and how any kind becomes a `Data`: split, learn, prepare, fingerprint.

`Examples` is the seam between the kinds (tables, images, arrays) and everything that they share, which is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ravine.data.dataset import Data, MemorySplit, Split
from ravine.data.fingerprint import fingerprint
from ravine.data.preprocessing import Preprocessing, Target
from ravine.data.splits import Rows, split_rows
from ravine.data.streaming import StreamedSplit
from ravine.data.targets import Labels, check_complete, decide_task, encode, fit_target
from ravine.errors import DataError
from ravine.types import Task

__all__ = ["Examples", "Parts", "assemble"]

FEWEST = 10  # rows below which three splits mean nothing


class Examples(Protocol):
    """Raw labelled examples of one kind, as a file or folder holds them."""

    @property
    def kind(self) -> str:
        """As in Preprocessing.kind."""
        ...

    @property
    def labels(self) -> Labels:
        """Of every row."""
        ...

    def fit(self, train: NDArray[np.int64], target: Target) -> tuple[Preprocessing, tuple[str, ...]]:
        """What the rows `train` teach about preparing an example, and notes on what was done."""
        ...

    def read(self, rows: NDArray[np.int64], preprocessing: Preprocessing) -> Tensor:
        """The rows asked for, prepared: [B, *input_shape] float32. The same bits however they are grouped."""
        ...


@dataclass(frozen=True, eq=False)
class Parts:
    """What was found: examples to train on and, where the user has them, further parts for choosing and testing."""

    train: Examples
    validation: Examples | None = None
    test: Examples | None = None
    notes: tuple[str, ...] = ()


def assemble(name: str, parts: Parts, *, task: Task | None, seed: int, memory_limit: int | None) -> Data:
    """Split, learn the preprocessing from training rows, prepare.

    memory_limit: bytes that all inputs may take together; beyond, rows are read when asked for. None: no limit.
    Raises DataError when there are too few rows, labels are missing or the target cannot be learned.
    """
    labels = parts.train.labels
    if len(labels) < FEWEST:
        raise DataError(f"{name} has {len(labels)} rows; at least {FEWEST} are needed to train, choose and test.")
    for part in (parts.train, parts.validation, parts.test):
        if part is not None:
            check_complete(part.labels)
    found = decide_task(labels, task)
    rows, notes = _divide(name, parts, found, seed)
    target = fit_target(labels, rows.train, found)
    preprocessing, learned = parts.train.fit(rows.train, target)
    chosen = [
        (parts.train, rows.train),
        _part(parts.validation, parts.train, rows.validation),
        _part(parts.test, parts.train, rows.test),
    ]
    size = 4 * prod(preprocessing.input_shape) * sum(len(each) for _, each in chosen)
    streamed = memory_limit is not None and size > memory_limit
    if streamed:
        notes += (f"the inputs would take {size / 2**20:,.0f} MiB of memory: they are read when asked for",)
    train, validation, test = (_prepare(part, each, preprocessing, streamed) for part, each in chosen)
    return Data(
        name=name,
        task=found,
        input_shape=preprocessing.input_shape,
        outputs=len(target.classes) or 1,
        train=train,
        validation=validation,
        test=test,
        preprocessing=preprocessing,
        notes=(*parts.notes, *notes, *learned),
        fingerprint=fingerprint((train, validation, test)),
    )


def _divide(name: str, parts: Parts, task: Task, seed: int) -> tuple[Rows, tuple[str, ...]]:
    """Rows of each split, and notes on classes that are not in every split."""
    labels = parts.train.labels
    names, position = labels.named()
    rows = split_rows(
        position if task == "classification" else None,
        len(labels),
        seed,
        validation=parts.validation is None,
        test=parts.test is None,
    )
    for split, own, given in (("validation", rows.validation, parts.validation), ("test", rows.test, parts.test)):
        if not (len(own) if given is None else len(given.labels)):
            raise DataError(f"{name} leaves no rows for the {split} split: give more rows of each class.")
    notes: tuple[str, ...] = ()
    if rows.rare:
        rare = ", ".join(names[each] for each in rows.rare[:5]) + (", ..." if len(rows.rare) > 5 else "")
        notes += (f"classes with too few rows to be in every split are in training only: {rare}",)
    unseen = sorted(set(range(len(labels.declared))) - set(position.tolist()))
    if unseen:
        notes += (f"declared classes without a row to train on: {', '.join(names[each] for each in unseen[:5])}",)
    return rows, notes


def _part(given: Examples | None, train: Examples, rows: NDArray[np.int64]) -> tuple[Examples, NDArray[np.int64]]:
    return (train, rows) if given is None else (given, np.arange(len(given.labels)))


def _prepare(part: Examples, rows: NDArray[np.int64], preprocessing: Preprocessing, streamed: bool) -> Split:
    y = encode(part.labels, preprocessing.target)[torch.from_numpy(rows)]
    if streamed:
        return StreamedSplit(part, rows, preprocessing, y)
    return MemorySplit(part.read(rows, preprocessing), y)

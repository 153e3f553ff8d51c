"""Arrays as training and validation rows. No test rows are taken: who works with scikit-learn holds those out himself.

Letters in shapes: N examples, F features.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray

from ravine.data import Data, MemorySplit
from ravine.data.arrays import ArrayExamples
from ravine.data.fingerprint import fingerprint
from ravine.data.splits import split_rows
from ravine.data.targets import Labels, encode, fit_target
from ravine.errors import DataError
from ravine.types import Task

__all__ = ["held_out"]

NOTE = "there is no test split here (scikit-learn's own scores stand for it): its figures are those of the validation split"


def held_out(x: NDArray[Any], labels: Labels, task: Task, seed: int) -> Data:
    """Rows x [N, *shape], finite, as data with a fifth of the rows to choose by, stratified by class.

    The validation split stands in for the test split, and a note says so. Raises DataError when no row is left to choose
    by, or when the target of a regression is one number.
    """
    classes = labels.named()[1] if task == "classification" else None
    rows = split_rows(classes, len(labels), seed, test=False)
    if not len(rows.validation):
        raise DataError(f"every class has one row, {len(labels)} in all: to choose the best weights by, one needs two.")
    target = fit_target(labels, rows.train, task)
    examples, y = ArrayExamples(x, labels), encode(labels, target)
    preprocessing, notes = examples.fit(rows.train, target)
    train, validation = (
        MemorySplit(examples.read(each, preprocessing), y[torch.from_numpy(each)])
        for each in (rows.train, rows.validation)
    )
    return Data(
        name="arrays",
        task=task,
        input_shape=preprocessing.input_shape,
        outputs=len(target.classes) or 1,
        train=train,
        validation=validation,
        test=validation,
        preprocessing=preprocessing,
        notes=(NOTE, *notes),
        fingerprint=fingerprint((train, validation)),
    )

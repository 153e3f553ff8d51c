"""The front door: `load` turns what a user has into a `Data`, `read_labelled` prepares more of the same kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from ravine.data.dataset import Data
from ravine.data.examples import assemble
from ravine.data.preprocessing import Preprocessing
from ravine.data.sources import find_parts
from ravine.data.targets import encode
from ravine.errors import DataError
from ravine.types import Task

__all__ = ["load", "read_labelled"]

MEMORY_LIMIT = 2 * 2**30  # bytes
_HOLDS = {"table": "a table", "image": "images", "array": "arrays"}


def load(
    spec: str,
    *,
    target: str | None = None,
    task: Task | None = None,
    seed: int = 0,
    test: str | None = None,
    categorical: Sequence[str] = (),
    memory_limit: int = MEMORY_LIMIT,
) -> Data:
    """A data set with its three splits, ready to train on.

    spec: `digits`; a CSV, TSV or Parquet table, or a folder with train.csv (and test.csv), with `target`; a Parquet file
    or folder of encoded images; a folder of images by class; `hf:NAME` or `hf:NAME/CONFIG`.
    target: the column to predict. task: told apart by the target when None. test: a further file or folder in the
    same layout, used as the test split as it is. categorical: columns of a table whose numbers are names.
    memory_limit: bytes the prepared inputs may take; beyond, they are read when asked for.
    Raises DataError, one line, on anything that cannot be used.
    """
    parts = find_parts(spec, target, categorical, memory_limit)
    if test is not None:
        further = find_parts(test, target, categorical, memory_limit)
        given = further.test or further.train
        if given.kind != parts.train.kind:
            raise DataError(f"--test {test} holds {_HOLDS[given.kind]}, but {spec} {_HOLDS[parts.train.kind]}.")
        notes = (*parts.notes, f"the test split of {spec} is not used, {test} stands in") if parts.test else parts.notes
        parts = replace(parts, test=given, notes=notes)
    return assemble(spec, parts, task=task, seed=seed, memory_limit=memory_limit)


def read_labelled(preprocessing: Preprocessing, spec: str) -> tuple[Tensor, Tensor]:
    """Labelled examples in the layout a model was trained on, as (x [N, *input_shape], y [N]) in the model's units.

    Of a source with splits, the test split; else the validation split; else all of it.
    Raises DataError when the source holds another kind of data, other columns, or a class the model does not know (named, with its row).
    """
    kind = preprocessing.kind
    if (kind == "array") != (spec == "digits"):
        raise DataError(
            f"{spec} cannot be read for this model: it was trained on {_HOLDS[kind]} "
            f"of shape {list(preprocessing.input_shape)}."
        )
    target = None if kind == "array" else preprocessing.target.name
    parts = find_parts(spec, target, (), MEMORY_LIMIT)
    part = parts.test or parts.validation or parts.train
    if part.kind != kind:
        raise DataError(f"{spec} holds {_HOLDS[part.kind]}, but the model was trained on {_HOLDS[kind]}.")
    if kind == "array" and preprocessing.input_shape != (1, 8, 8):
        raise DataError(f"digits are [1, 8, 8], but the model was trained on {list(preprocessing.input_shape)}.")
    y = encode(part.labels, preprocessing.target)
    return part.read(np.arange(len(y)), preprocessing), y

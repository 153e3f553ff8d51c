"""A trained model ready to use: raw examples in, classes or numbers out.

Letters in shapes: N examples, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ravine.data import Preprocessing
from ravine.errors import FolderError, InputError, ModelError
from ravine.limits import MEMBERS
from ravine.models import Factory
from ravine.training.checkpoints import ModelRecord, load_model
from ravine.training.ensembles import Ensemble
from ravine.training.files import check_contained, read_json, write_json
from ravine.types import Task

__all__ = ["Predictor", "combine", "load", "save_members"]


@dataclass(frozen=True, eq=False)
class Predictor:
    """The best model of a run (or its ensemble), the preprocessing included."""

    module: nn.Module  # preprocessed inputs [N, *input_shape] -> logits [N, C] or standardized targets [N, 1]
    preprocessing: Preprocessing
    task: Task
    record: ModelRecord  # of the best model

    def predict(self, raw: Any) -> NDArray[Any]:
        """Class names (str) or numbers in the target's own units, [N].

        raw: what the model was trained on, unprocessed: a path, a table (DataFrame or list of dicts), images
        (paths, PIL images or uint8 arrays), or arrays. Raises DataError when it does not fit.
        """
        outputs = self._outputs(raw)
        if self.task == "classification":
            named: NDArray[Any] = np.array(self.preprocessing.target.classes)[outputs.argmax(-1).numpy()]
            return named
        restored: NDArray[Any] = self.preprocessing.target.restore(outputs.reshape(len(outputs))).numpy()
        return restored

    def predict_proba(self, raw: Any) -> NDArray[np.float32]:
        """Probabilities of the classes, [N, C], in the order of `classes`. Raises InputError for regression."""
        if self.task != "classification":
            raise InputError("predict_proba is for classification; this model predicts a number: write predict.")
        return torch.softmax(self._outputs(raw), dim=-1).numpy()

    @property
    def classes(self) -> tuple[str, ...]:
        return self.preprocessing.target.classes

    @torch.no_grad()
    def _outputs(self, raw: Any, chunk: int = 1024) -> Tensor:
        x = self.preprocessing.to_tensor(raw)
        return torch.cat([self.module(part) for part in x.split(chunk)])


def load(folder: str | Path, *, ensemble: bool = False, make_model: Factory | None = None) -> Predictor:
    """The best model of a finished run, or the average of its best models with ensemble=True.

    make_model: the factory, for a model that was made by a callable without an importable name.
    Raises FolderError when the folder holds no model or is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(f"there is no folder {folder}: give the --out of a finished run.")
    check_contained(folder)
    module, record, preprocessing = load_model(folder / "best" / "model", make_model)
    if ensemble:
        names, weights = _members(folder)
        members = [load_model(folder / "checkpoints" / name, make_model) for name in names]
        _same_answers(folder, [target.target.classes for _, _, target in members], preprocessing.target.classes)
        module = Ensemble([member for member, _, _ in members], record.task, weights=weights).eval()
    return Predictor(module, preprocessing, record.task, record)


def combine(predictors: Sequence[Predictor], *, weights: Sequence[float] | None = None) -> Predictor:
    """Models of several runs as one that answers with their average. weights: positive, one per model; equal when left out.

    Raises ModelError when there are none, or when they do not predict the same target from examples prepared alike.
    """
    if not predictors:
        raise ModelError("an ensemble needs at least one model, got none: give what ravine.load returns.")
    first = predictors[0]
    for number, other in enumerate(predictors[1:], start=2):
        if (other.task, other.classes) != (first.task, first.classes):
            raise ModelError(
                f"model {number} answers with {_said(other)} and the first with {_said(first)}: average models of one target "
                "whose classes stand in one order, such as those trained on the same data."
            )
        if other.preprocessing != first.preprocessing:
            raise ModelError(
                f"model {number} was trained on examples prepared otherwise than the first's: train both with the same "
                "--seed, so that they share their training rows, or average what predict_proba gives."
            )
    module = Ensemble([one.module for one in predictors], first.task, weights=weights).eval()
    return Predictor(module, first.preprocessing, first.task, first.record)


def _said(predictor: Predictor) -> str:
    return f"the classes {', '.join(predictor.classes)}" if predictor.classes else "a number"


def save_members(folder: Path, kind: str, names: Sequence[str], weights: Sequence[float]) -> None:
    """Record which checkpoints make up the ensemble, how much each counts, and how they were come by."""
    write_json(folder / "ensemble.json", {"kind": kind, "members": list(names), "weights": list(weights)})


def _members(folder: Path) -> tuple[list[str], list[float]]:
    path = folder / "ensemble.json"
    record = read_json(path)
    found: dict[str, Any] = record if isinstance(record, dict) else {}
    names: Any = found.get("members")
    weights: Any = found.get("weights")
    whole = isinstance(names, list) and 1 <= len(names) <= MEMBERS and all(map(_plain_name, names))
    if not whole or not isinstance(weights, list) or not _are_weights(weights, len(names)):
        raise FolderError(
            f"{path} is damaged (it must name checkpoints of this folder, each with a weight above 0): run again, or "
            "take the folder from a copy."
        )
    return names, weights


def _are_weights(values: list[Any], count: int) -> bool:
    return len(values) == count and all(
        isinstance(w, int | float) and not isinstance(w, bool) and 0 < w < math.inf for w in values
    )


def _same_answers(folder: Path, members: Sequence[tuple[str, ...]], wanted: tuple[str, ...]) -> None:
    """Raise ModelError when a member names its outputs otherwise: averages of other classes would mean nothing."""
    for classes in members:
        if classes != wanted:
            raise ModelError(
                f"{folder} holds an ensemble whose members have other classes or another order of them "
                f"({', '.join(classes) or 'a number'} and {', '.join(wanted) or 'a number'}): average models that "
                "were trained on the same target."
            )


def _plain_name(name: object) -> bool:
    """A file's name alone: nothing that leads to another folder."""
    return isinstance(name, str) and name not in ("", "..") and "\0" not in name and Path(name).name == name

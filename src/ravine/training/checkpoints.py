"""A trained model on disk: `NAME.safetensors` for the weights, `NAME.json` for all that rebuilds it.

The preprocessing travels along, so a model can be used without the data it was trained on. Nothing is
pickled. Loading runs no code but the model's own factory: by name for Ravine's models; for a user's own,
the importable module or the absolute path of a file that the record names, if this user has named it too (`ravine.trust`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ravine.data import Preprocessing, preprocessing_from_json
from ravine.errors import FolderError, ModelError
from ravine.models import MODELS, Factory, Model, find_factory
from ravine.training.files import check_fits_memory, read_json, understood, write_atomically, write_json
from ravine.training.run import Kept
from ravine.trust import is_named
from ravine.types import Task

__all__ = ["ModelRecord", "load_model", "save_model"]


class ModelRecord(BaseModel):
    """What NAME.json holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    format: Literal[1] = 1
    task: Task
    model: str  # name of the factory; "" when it was a callable without one
    settings: dict[str, Any]
    input_shape: tuple[int, ...]
    outputs: int
    trial: int
    epoch: int
    hyperparameters: dict[str, Any]
    validation: Mapping[str, float | None]
    preprocessing: dict[str, Any]


def save_model(stem: Path, kept: Kept, model: Model, task: Task, preprocessing: Preprocessing) -> None:
    """Write stem.safetensors, then stem.json: a reader that finds the record finds the weights."""
    record = ModelRecord(
        task=task,
        model=model.name,
        settings=dict(model.settings),
        input_shape=model.input_shape,
        outputs=model.outputs,
        trial=kept.trial,
        epoch=kept.epoch,
        hyperparameters=kept.setting.hyperparameters(),
        validation=kept.validation,
        preprocessing=preprocessing.model_dump(mode="json"),
    )
    state = {name: value.cpu().contiguous() for name, value in kept.state.items()}
    weights = save(state)  # bytes: save_file hides a full disk in an error of its own
    write_atomically(stem.with_suffix(".safetensors"), lambda partial: partial.write_bytes(weights))
    write_json(stem.with_suffix(".json"), record.model_dump(mode="json"))


def load_model(stem: Path, make_model: Factory | None = None) -> tuple[nn.Module, ModelRecord, Preprocessing]:
    """The module in evaluation mode, its record, and its preprocessing.

    make_model: the factory, where the record cannot name it.
    Raises FolderError when a file is missing or damaged, ModelError when the factory cannot be found.
    """
    path = stem.with_suffix(".json")
    raw = read_json(path)
    try:
        record = ModelRecord.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = " ".join(".".join(map(str, first["loc"])).split())[:200] or "the record"
        raise FolderError(
            f"{path} is damaged ({where}: {first['msg']}): run again, or take the folder from a copy."
        ) from error
    preprocessing = preprocessing_from_json(json.dumps(record.preprocessing))
    with understood(path):
        module = _module(record, make_model, stem)
    weights = stem.with_suffix(".safetensors")
    try:
        check_fits_memory(weights)
        module.load_state_dict(load_file(weights))
    except (OSError, SafetensorError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise FolderError(
            f"{weights} is missing, damaged or of another model ({said}): run again, or take the folder from a copy."
        ) from error
    return module.eval(), record, preprocessing


def _module(record: ModelRecord, make_model: Factory | None, stem: Path) -> nn.Module:
    if make_model is None and not record.model:
        raise ModelError(
            "this model was made by a callable that no record can name: write ravine.load(DIR, make_model=...)."
        )
    if make_model is None and record.model not in MODELS and not is_named("model", record.model):
        raise ModelError(
            f"{stem}.json names the factory {record.model!r}, whose code would be run, and you have named no such one here: if "
            f"you trust it, write --model {shlex.quote(record.model)} (in Python, make_model=)."
        )
    factory = make_model or find_factory(record.model)
    model, trained = (
        Model(record.model, factory, record.input_shape, record.outputs, record.settings),
        record.hyperparameters,
    )
    with torch.random.fork_rng():  # the rates are no weights, but Monte-Carlo dropout asks for them
        return model.build(0, dropout=trained.get("dropout"), depth=trained.get("stochastic_depth"))

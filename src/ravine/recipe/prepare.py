"""From what a person gives (a name or a callable, a path or arrays) to a session, everything checked first."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ravine.data import Data, from_arrays, load
from ravine.errors import DataError, ModelError, SettingError
from ravine.models import MODELS, Model, find_factory
from ravine.notebook import live_here
from ravine.recipe.session import Session, Silent, Watcher, default_batch_size
from ravine.trust import name_by_hand
from ravine.types import Task

__all__ = ["device_of", "prepare"]


def prepare(
    make_model: str | Callable[..., nn.Module],
    data: Any,
    *,
    target: str | None = None,
    task: Task | None = None,
    test: Any = None,
    categorical: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    device: str = "auto",
    watch: Watcher | None = None,
) -> Session:
    """A session whose data and model are known to fit together.

    make_model: mlp, cnn, resnet, package.module:factory, file.py:factory, or a callable that takes (input_shape, outputs).
    data: a `Data`, something `ravine.data.load` reads, or a pair of arrays (x, y).
    device: cpu, cuda, or auto (cuda where there is one).
    """
    place = device_of(device)
    if place.type == "meta":
        raise SettingError(f"device {device!r} computes nothing; write cpu, or auto.")
    found = _data(data, target=target, task=task, test=test, categorical=categorical, seed=seed)
    factory = find_factory(make_model) if isinstance(make_model, str) else make_model
    name = _name(make_model)
    if name and name not in MODELS:
        name_by_hand("model", name)
    model = Model(name, factory, found.input_shape, found.outputs, dict(settings or {}))
    _check_gradient(model, model.check())
    size = default_batch_size(len(found.train)) if batch_size is None else batch_size
    if size < 1:
        raise SettingError(f"batch_size is {size}; it must be 1 or more.")
    return Session(found, model, seed, size, place, watch or live_here() or Silent())


def _data(
    data: Any, *, target: str | None, task: Task | None, test: Any, categorical: Sequence[str], seed: int
) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        return load(str(data), target=target, task=task, test=test, categorical=categorical, seed=seed)
    if isinstance(data, tuple) and len(data) == 2:
        return from_arrays(*data, task=task, seed=seed, test=test)
    raise DataError(
        f"data is {type(data).__name__}; it must be a path or a name (a string), a pair of arrays (x, y), or what ravine.data.load gives."
    )


def _check_gradient(model: Model, module: nn.Module) -> None:
    """Raise ModelError for a module that nothing can be learnt by: its outputs hang on no parameter."""
    if not module(torch.zeros(2, *model.input_shape)).requires_grad:
        raise ModelError(
            f"{model.label} gives outputs without a gradient, so it cannot be trained: look for detach(), "
            "torch.no_grad() or argmax in forward, and for parameters with requires_grad=False."
        )


def _name(make_model: str | Callable[..., nn.Module]) -> str:
    """A name by which the factory can be found again: what was written, paths made absolute; else ""."""
    if isinstance(make_model, str):
        place, colon, name = make_model.rpartition(":")
        return f"{Path(place).resolve()}:{name}" if colon and place.endswith(".py") else make_model
    own = next((name for name, factory in MODELS.items() if factory is make_model), None)
    if own:
        return own
    module, name = getattr(make_model, "__module__", ""), getattr(make_model, "__qualname__", "")
    importable = module not in ("", "__main__") and name.isidentifier() and inspect.isroutine(make_model)
    return f"{module}:{name}" if importable else ""


def device_of(name: str) -> torch.device:
    """The device of that name; auto: a GPU where there is one. Raises SettingError where it cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).strip().splitlines()[0]
        raise SettingError(f"device {name!r} cannot be used ({said}); write cpu, or auto.") from error
    return device

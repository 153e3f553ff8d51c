"""From what a person names to a checked module: `mlp`, `cnn`, `resnet`, `package.module:factory` or `file.py:factory`.

A factory is a callable that takes (input_shape, outputs), and perhaps settings by keyword, and returns an
nn.Module. Naming one runs its code: it is the only thing in Ravine that runs code of the user's.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from ravine.errors import ModelError, nearest
from ravine.models.cnn import cnn
from ravine.models.initialization import scale_weights
from ravine.models.mlp import mlp
from ravine.models.resnet import resnet
from ravine.randomness import seeded
from ravine.regularization import dropouts, replace_dropout

__all__ = ["MODELS", "Factory", "Model", "factory_settings", "find_factory"]

Factory = Callable[..., nn.Module]
"""(input_shape, outputs, **settings) -> a module."""

MODELS: dict[str, Factory] = {"mlp": mlp, "cnn": cnn, "resnet": resnet}
"""The reference networks by name."""


@dataclass(frozen=True)
class Model:
    """A factory bound to a task: `build(seed)` gives an initialized, checked module, the same for the same seed."""

    name: str  # as the user wrote it; "" for a callable that cannot be found again by name
    factory: Factory
    input_shape: tuple[int, ...]
    outputs: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def build(
        self,
        seed: int,
        *,
        dropout: float | None = None,
        depth: float | None = None,
        scale: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> nn.Module:
        """A fresh module. seed fixes its initial weights and dropout masks; dropout sets the rate of every dropout layer,
        depth that of its StochasticDepth layers; scale multiplies its initial weights (`scale_weights`).

        The global random state is left as it was. Raises ModelError when the factory fails.
        """
        with seeded(seed, "initialization"):
            module = _called(self.label, self.factory, self.input_shape, self.outputs, self.settings)
            if any(is_lazy(each) for each in (*module.parameters(), *module.buffers())):
                self._forward(module.eval())  # lazy layers learn their sizes from a first batch
                module.train()
        scale_weights(module, scale)
        return replace_dropout(module, seed=seed, p=dropout, depth=depth).to(device)

    def check(self) -> nn.Module:
        """One module, after a forward of two blank examples has shown that its output has the right size.

        Raises ModelError naming both sizes, or what the module raised.
        """
        module = self.build(0).eval()
        wanted = (2, self.outputs)
        with seeded(0, "check"):
            out = self._forward(module)
        if not isinstance(out, torch.Tensor):
            raise ModelError(
                f"{self.label} returns {type(out).__name__} from forward; it must return a tensor of shape {wanted}."
            )
        if tuple(out.shape) != wanted and not (self.outputs == 1 and tuple(out.shape) == (2,)):
            raise ModelError(
                f"{self.label} gives an output of shape {tuple(out.shape)} for a batch of 2; this data needs {wanted}: "
                f"end the model in {self.outputs} output{'s' * (self.outputs > 1)}."
            )
        return module

    @torch.no_grad()
    def _forward(self, module: nn.Module) -> Any:
        """What two blank examples come to. Raises ModelError with what the module raised."""
        try:
            return module(torch.zeros(2, *self.input_shape))
        except Exception as error:
            dtypes = {p.dtype for p in module.parameters()} - {torch.float32}
            hint = (
                f" The data is float32, its parameters {dtypes.pop()}: end the factory in .float()." if dtypes else ""
            )
            raise ModelError(
                f"{self.label} cannot take a batch of shape {(2, *self.input_shape)}: {_line(error)}{hint}"
            ) from error

    @property
    def label(self) -> str:
        return f"model {self.name or getattr(self.factory, '__name__', 'factory')}"

    @property
    def has_dropout(self) -> bool:
        return any(True for _ in dropouts(self.build(0)))


def find_factory(spec: str) -> Factory:
    """The factory a person named. Raises ModelError when it cannot be found, imported or called."""
    if spec in MODELS:
        return MODELS[spec]
    place, colon, name = spec.rpartition(":")
    if not colon:
        raise ModelError(
            f"model {spec!r} is not known; {nearest(spec, MODELS)} For your own write package.module:factory or file.py:factory."
        )
    module = _import_file(place) if place.endswith(".py") else _import_module(place)
    if not hasattr(module, name):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise ModelError(f"{place} has no {name!r}; {nearest(name, names)}")
    factory = getattr(module, name)
    if not callable(factory):
        raise ModelError(
            f"{spec} is {type(factory).__name__}, not a callable; it must take (input_shape, outputs) and return an nn.Module."
        )
    return factory  # type: ignore[no-any-return]


def _import_module(name: str) -> Any:
    try:
        with _searching(Path.cwd()):  # as `python -m` does, so that a factory beside the user is found
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ModelError(
            f"cannot import {name!r}: {_line(error)}. Write package.module:factory or file.py:factory."
        ) from error


def _import_file(place: str) -> Any:
    path = Path(place)
    if not path.is_file():
        raise ModelError(f"there is no file {place}; write the path of a Python file, then :factory.")
    spec = importlib.util.spec_from_file_location(f"ravine_user_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        with _searching(path.resolve().parent):  # as `python file.py` does, so that the modules beside it are found
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise ModelError(f"cannot run {place}: {_line(error)}") from error
    return module


@contextmanager
def _searching(folder: Path) -> Iterator[None]:
    """Modules are looked for in `folder` first; afterwards as before, whatever the code inside added."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


def _called(
    label: str, factory: Factory, input_shape: Sequence[int], outputs: int, settings: Mapping[str, Any]
) -> nn.Module:
    _check_settings(label, factory, settings)
    try:
        module = factory(tuple(input_shape), outputs, **settings)
    except ModelError:
        raise
    except Exception as error:
        raise ModelError(
            f"{label} failed to build with input_shape={tuple(input_shape)}, outputs={outputs}: {_line(error)}"
        ) from error
    if not isinstance(module, nn.Module):
        raise ModelError(f"{label} returned {type(module).__name__}; a factory must return an nn.Module.")
    return module


def factory_settings(make_model: str | Factory) -> list[str]:
    """The keywords that a factory takes beside (input_shape, outputs). Raises ModelError when it cannot be found.

    >>> factory_settings("resnet")
    ['width', 'depth', 'dropout']
    """
    factory = find_factory(make_model) if isinstance(make_model, str) else make_model
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p.name for p in list(inspect.signature(factory).parameters.values())[2:] if p.kind in named]


def _check_settings(label: str, factory: Factory, settings: Mapping[str, Any]) -> None:
    """Settings must be keywords the factory knows; a wrong one is answered with the nearest."""
    if not settings:
        return
    parameters = inspect.signature(factory).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    known = [p.name for p in list(parameters)[2:]]
    for key in settings:
        if key not in known:
            raise ModelError(f"{label} has no setting {key!r}; {nearest(key, known) if known else 'it takes none'}")


def _line(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

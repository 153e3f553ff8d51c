"""Small things to train, and a search that goes down in the middle."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from torch import nn

from ravine.data import Data
from ravine.models import Model, mlp
from ravine.recipe.session import Silent
from ravine.training import Run, Setting, saver

__all__ = ["CrashError", "Fuse", "arrays", "crashing", "normalized", "own", "run"]


def arrays(count: int = 200) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs [count, 4] in three classes that overlap a little."""
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, count)
    return (draw.normal(size=(count, 4)) + 2 * np.eye(4)[y]).astype("float32"), y


def normalized(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """A network with batch norm and dropout."""
    return nn.Sequential(
        nn.Linear(input_shape[0], 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, outputs)
    )


def own(data: Data, factory: Any = mlp, **settings: Any) -> Model:
    """A model for this data; a small MLP when no factory is given."""
    given = settings or ({"hidden": (8,)} if factory is mlp else {})
    return Model("", factory, data.input_shape, data.outputs, given)


def run(data: Data, *settings: Setting, factory: Any = mlp, steps: int = 40, **more: Any) -> Run:
    """A run of trials, one after the other unless an engine is named."""
    return Run(data, own(data, factory), settings, steps=steps, **{"engine": "one by one", **more})


class CrashError(Exception):
    """What takes a run down in the middle of this process."""


class Fuse(Silent):
    """A watcher that brings the run down after it was told so often how far its step `where` is."""

    def __init__(self, where: str = "", after: int = 0) -> None:
        self.where, self.left, self.now = where, after, ""

    def begin(self, step: str) -> None:
        self.now = step

    def advance(self, share: float, text: str = "") -> None:
        self.left -= self.now == self.where
        if self.where and self.left < 0:
            raise CrashError(f"{self.now} at {share}: {text}")


@contextmanager
def crashing() -> Iterator[None]:
    """A run that goes down in here, and whose state was written at every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saver, "EVERY", 0.0)
        patch.setattr(saver, "SHARE", 1e9)
        patch.setattr(os, "fsync", lambda _file: None)  # this process lives on
        with pytest.raises(CrashError):
            yield

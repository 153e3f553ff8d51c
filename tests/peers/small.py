"""Small things to train."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import nn

from ravine.data import Data
from ravine.models import Model, mlp
from ravine.training import Run, Setting

__all__ = ["arrays", "normalized", "own", "run"]


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

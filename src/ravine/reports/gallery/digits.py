"""Networks really trained for the gallery, in seconds: small ones, on scikit-learn's digits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch

from ravine.data import Data, MemorySplit, load
from ravine.models import Model, find_factory
from ravine.training import Run, Setting

__all__ = ["EVERY", "digits", "trained"]

EVERY = 10  # steps from one evaluation to the next


def digits(rows: int | None = None) -> Data:
    """scikit-learn's 1,797 digits; only the first `rows` of the training split if given."""
    data = load("digits")
    if rows is None:
        return data
    x, y = data.train.batch(torch.arange(rows))
    return dataclasses.replace(data, train=MemorySplit(x, y))


def trained(data: Data, hidden: tuple[int, ...], settings: Sequence[Setting], steps: int) -> Run:
    """A perceptron of these widths trained once with each setting, evaluated untrained and every EVERY steps."""
    model = Model("mlp", find_factory("mlp"), data.input_shape, data.outputs, {"hidden": hidden})
    run = Run(data, model, settings, steps=steps, every=EVERY)
    run.evaluate()
    run.advance(steps)
    return run

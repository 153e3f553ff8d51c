"""Tune a model of your own on arrays: one call, then predictions."""

import tempfile
from pathlib import Path

from sklearn.datasets import load_wine
from torch import nn

import ravine


def network(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """Any callable that takes (input_shape, outputs) and returns a module."""
    return nn.Sequential(nn.Linear(input_shape[0], 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, outputs))


x, y = load_wine(return_X_y=True)
out = Path(tempfile.mkdtemp()) / "wine"
result = ravine.tune(network, (x, y), budget="10s", out=out)
for verdict in result.steps:
    print(verdict.status, verdict.step, verdict.summary)
if result.best:
    print("test accuracy", result.best.test["accuracy"])
    model = ravine.load(out, make_model=network)
    print("first classes", model.predict(x[:5]))

"""One stack in which every trial differs in everything that may differ, against each trial by itself.

A stack adds in another order than one trial, and training grows what rounding begins: losses after 16 steps in float32
agree to 1e-5 relative, where any setting moves them by more than 1e-3 (the last test).

Letters in shapes: K trials.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from torch import nn

from ravine.data import Data, from_arrays
from ravine.models import Model
from ravine.regularization import StochasticDepth
from ravine.training import Run, Setting

STEPS = 16

EVERYTHING: list[dict[str, object]] = [
    {
        "lr": 0.02,
        "weight_decay": 0.0,
        "dropout": 0.0,
        "stochastic_depth": 0.3,
        "init_scale": 1.0,
        "schedule": "constant",
    },
    {"lr": 0.01, "weight_decay": 0.01, "dropout": 0.2, "label_smoothing": 0.1, "init_scale": 0.5, "warmup": 0.3},
    {
        "lr": 0.03,
        "weight_decay": 0.1,
        "dropout": 0.4,
        "mixup": 0.4,
        "init_scale": 2.0,
        "schedule": "linear",
        "order": 1,
    },
    {"lr": 0.005, "l1": 1e-4, "mixup": 1.0, "cutmix": 1.0, "init_scale": 0.7, "schedule": "plateau", "order": 1},
    {"lr": 0.015, "l2": 1e-3, "max_norm": 0.8, "init_scale": 1.3, "schedule": "one_cycle", "warmup": 0.0},
]
"""Decay three ways, dropout, smoothing, mixing, schedule and warm-up, initialization, seed; orders shared and own."""

OF_RULE: dict[str, list[dict[str, float]]] = {
    "sgd": [{"momentum": m} for m in (0.5, 0.6, 0.7, 0.8, 0.9)],
    "adamw": [{"beta1": 0.8 + 0.03 * k, "beta2": 0.9 + 0.02 * k} for k in range(5)],
}


class Residual(nn.Sequential):
    """x + branch(x) between two linear layers, with batch norm, dropout and stochastic depth.

    Batch norm comes after ReLU: what it takes away has a gradient of rounding alone, and Adam makes whole steps of that.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        branch = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Dropout(0.1), StochasticDepth(0.0))
        super().__init__(nn.Flatten(), nn.Linear(inputs, 12), nn.ReLU(), nn.BatchNorm1d(12), Past(branch))
        self.append(nn.Linear(12, outputs))


class Past(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, x):  # type: ignore[no-untyped-def]
        return x + self.branch(x)


@cache
def images() -> Data:
    """Noise around one pattern for each of three classes, 1 x 4 x 4: no pixel is the same everywhere."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    return from_arrays((rng.normal(size=(400, 1, 4, 4)) + rng.normal(size=(3, 1, 4, 4))[y]).astype("float32"), y)


def settings(optimizer: str, **same: object) -> list[Setting]:
    pairs = enumerate(zip(EVERYTHING, OF_RULE[optimizer], strict=True))
    return [Setting(**{"optimizer": optimizer, "batch_size": 32, "seed": k, **a, **b, **same}) for k, (a, b) in pairs]  # type: ignore[arg-type]


def curve(chosen: list[Setting], trial: int, engine: str) -> list[float]:
    data = images()
    model = Model("", lambda _shape, out: Residual(16, out), data.input_shape, data.outputs)
    trials = list(range(len(chosen))) if len(chosen) > 1 else [trial]
    run = Run(data, model, chosen, steps=STEPS, trials=trials, every=4, engine=engine)  # type: ignore[arg-type]
    run.advance(STEPS)
    return [*run.history.steps(trial)["loss"], *run.history.epochs(trial)["validation_loss"]]


@pytest.mark.parametrize("optimizer", OF_RULE)
def test_everything_that_is_no_structure_differs_between_the_trials_of_one_stack(optimizer: str) -> None:
    every = settings(optimizer)
    assert len({setting.structure for setting in every}) == 1
    for trial, setting in enumerate(every):
        assert curve(every, trial, "stacked") == pytest.approx(curve([setting], trial, "one by one"), rel=1e-5), trial


@pytest.mark.parametrize(
    "same",
    [
        {"lr": 0.02},
        {"weight_decay": 1.0},
        {"l1": 1e-3},
        {"l2": 1e-2},
        {"max_norm": 0.1},
        {"dropout": 0.3},
        {"stochastic_depth": 0.5},
        {"label_smoothing": 0.2},
        {"mixup": 0.2},
        {"cutmix": 0.5},
        {"schedule": "constant"},
        {"warmup": 0.2},
        {"init_scale": 1.1},
        {"seed": 9},
        {"order": 3},
        {"beta1": 0.7},
        {"beta2": 0.8},
    ],
    ids=lambda same: next(iter(same)),
)
def test_no_setting_is_without_effect(same: dict[str, object]) -> None:
    """So that the agreement above is none of settings that do nothing; the second trial has none of these values."""
    plain, other = settings("adamw")[1], settings("adamw", **same)[1]
    assert curve([other], 1, "one by one") != pytest.approx(curve([plain], 1, "one by one"), rel=1e-3)

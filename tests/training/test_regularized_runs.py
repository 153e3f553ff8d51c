"""A regularized trial follows one curve, alone and among others.

Letters in shapes: K trials.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data, from_arrays, load
from ravine.models import Model
from ravine.regularization import StochasticDepth
from ravine.training import Run, Setting


class Residual(nn.Module):
    """Batch norm, dropout and stochastic depth in one small network of images."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.branch = nn.Sequential(nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), StochasticDepth(0.1))
        self.head = nn.Sequential(nn.Dropout2d(0.1), nn.Flatten(), nn.LazyLinear(outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(torch.relu(x + self.branch(x)))  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits")


SETTINGS = [
    Setting(lr=3e-3, batch_size=32, seed=1, dropout=0.2, mixup=0.3, stochastic_depth=0.3, l2=1e-4),
    Setting(lr=1e-3, batch_size=32, seed=2, dropout=0.0, cutmix=1.0, label_smoothing=0.1, max_norm=1.0),
    Setting(lr=2e-3, batch_size=32, seed=3, dropout=0.4, cutout=0.3, crop=1, rotate=10.0, l1=1e-5, policy=0.3),
]


def curve(
    data: Data, settings: list[Setting], trial: int, engine: str, keep: int | None = None
) -> dict[str, list[float]]:
    model = Model("", lambda shape, outputs: Residual(shape[0], outputs), data.input_shape, data.outputs)
    trials = list(range(len(settings))) if len(settings) > 1 else [trial]
    run = Run(data, model, settings, steps=24, trials=trials, every=8, engine=engine)  # type: ignore[arg-type]
    run.advance(12)
    if keep is not None:
        run.keep([keep])
    run.advance(12)
    return {**run.history.steps(trial), **run.history.epochs(trial)}


@pytest.mark.parametrize("trial", range(3))
@pytest.mark.parametrize("engine", ["stacked", "one by one"])
def test_batch_norm_dropout_and_mixing_give_one_curve_alone_and_together(digits: Data, trial: int, engine: str) -> None:
    together = curve(digits, SETTINGS, trial, engine)
    alone = curve(digits, [SETTINGS[trial]], trial, "one by one")
    for column in ("loss", "train_loss", "validation_loss"):
        # float32 sums in another order: 1e-7 a step, grown by 24 steps of training
        assert together[column] == pytest.approx(alone[column], rel=2e-3, abs=2e-4), column


def test_a_survivor_goes_on_as_if_nothing_had_happened(digits: Data) -> None:
    cut, whole = curve(digits, SETTINGS, 1, "stacked", keep=1), curve(digits, SETTINGS, 1, "stacked")
    assert cut["loss"] == pytest.approx(whole["loss"], rel=2e-3, abs=2e-4)


def test_another_strength_is_another_curve(digits: Data) -> None:
    """So that the agreement above is no accident of settings that do nothing."""
    plain = curve(digits, [Setting(lr=3e-3, batch_size=32, seed=1)], 0, "one by one")
    for name in (
        "dropout",
        "mixup",
        "stochastic_depth",
        "l2",
        "max_norm",
        "cutout",
        "crop",
        "policy",
        "label_smoothing",
    ):
        value = {"crop": 1, "max_norm": 0.5, "l2": 1e-2}.get(name, 0.3)
        other = curve(digits, [Setting(lr=3e-3, batch_size=32, seed=1, **{name: value})], 0, "one by one")  # type: ignore[arg-type]
        assert other["loss"] != plain["loss"], name


def test_regression_is_mixed_too() -> None:
    torch.manual_seed(0)
    x = torch.randn(120, 4)
    data = from_arrays(x.numpy(), x.sum(1).numpy(), seed=0)
    model = Model("", lambda shape, outputs: nn.Linear(shape[0], outputs), data.input_shape, data.outputs)
    run = Run(data, model, [Setting(lr=0.05, mixup=0.4, batch_size=16)], steps=200)
    run.advance(200)
    assert run.evaluate()[0]["r2"] > 0.98  # mixing keeps a linear truth

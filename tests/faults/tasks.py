"""Base tasks in which faults are planted: each a healthy training. Some calibrate thresholds, the others only score.

Every task is given as a `Case`, standardized as a careful person would have done it, with validation rows of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn.datasets
import torch
from torch import Tensor, nn

from ravine.data import load
from ravine.diagnosis import Case

SHARED = Path(os.environ.get("RAVINE_SHARED", Path(__file__).resolve().parents[3] / "shared")) / "data"

Rows = tuple[Tensor, Tensor]
Pair = tuple[Rows, Rows]


@dataclass(frozen=True)
class Task:
    """A healthy training by name. make: gives its case. scoring: no threshold was set by looking at it."""

    name: str
    make: Callable[[], Case]
    scoring: bool


def parted(x: Tensor, y: Tensor, *, train: int, seed: int = 0, scale: bool = True, target: bool = False) -> Pair:
    """Shuffled, cut into training and validation rows, and scaled by the training rows."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    x, y = x[order].float(), y[order]
    first = slice(None, train)
    if scale:
        std = x[first].std(0)
        x = (x - x[first].mean(0)) / torch.where(std > 1e-8, std, torch.ones_like(std))
    if target:
        y = ((y - y[first].mean()) / y[first].std()).float()
    return (x[:train], y[:train]), (x[train:], y[train:])


@cache
def digits() -> Pair:
    x, y = sklearn.datasets.load_digits(return_X_y=True)
    return parted(torch.tensor(x / 8 - 1), torch.tensor(y), train=1400, scale=False)


@cache
def table(name: str, *, train: int) -> Pair:
    frame = pd.read_csv(SHARED / "tabular" / f"{name}.csv")
    codes = frame["target"].astype("category").cat.codes.to_numpy().astype(np.int64)
    x = pd.get_dummies(frame.drop(columns="target")).to_numpy().astype(np.float32)
    return parted(torch.tensor(x[:, x.std(0) > 0]), torch.tensor(codes), train=train)


@cache
def friedman() -> Pair:
    x, y = sklearn.datasets.make_friedman1(1500, noise=0.5, random_state=0)
    return parted(torch.tensor(x), torch.tensor(y), train=1200, target=True)


@cache
def diabetes() -> Pair:
    x, y = sklearn.datasets.load_diabetes(return_X_y=True)
    return parted(torch.tensor(x), torch.tensor(y), train=350, target=True)


@cache
def waves() -> Pair:
    """A smooth function of six inputs."""
    x = np.random.default_rng(1).normal(size=(2000, 6))
    y = (
        np.sin(2 * x[:, 0])
        + x[:, 1] * x[:, 2]
        + 0.5 * np.abs(x[:, 3])
        + 0.1 * np.random.default_rng(2).normal(size=2000)
    )
    return parted(torch.tensor(x), torch.tensor(y), train=1600, target=True)


@cache
def spirals() -> Pair:
    """Which of three arms a point of a spiral lies on; the plane is turned into five inputs, with noise."""
    draw = np.random.default_rng(11)
    y = draw.integers(3, size=1500)
    radius = draw.uniform(0.15, 1.0, size=1500)
    angle = 2 * np.pi * (y / 3 + 0.75 * radius) + 0.12 * draw.normal(size=1500)
    plane = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x = plane @ draw.normal(size=(2, 5)) + 0.03 * draw.normal(size=(1500, 5))
    return parted(torch.tensor(x), torch.tensor(y), train=1200)


@cache
def arm() -> Pair:
    """How far the hand of an arm of two links is from a point: angles, lengths and the point as inputs."""
    draw = np.random.default_rng(12)
    angles = draw.uniform(-np.pi, np.pi, size=(2400, 2))
    lengths, point = draw.uniform(0.5, 1.5, size=(2400, 2)), draw.uniform(-1, 1, size=(2400, 2))
    bent = angles.cumsum(1)
    hand = np.stack([(lengths * np.cos(bent)).sum(1), (lengths * np.sin(bent)).sum(1)], axis=1)
    y = np.hypot(*(hand - point).T) + 0.05 * draw.normal(size=2400)
    x = np.concatenate([np.cos(angles), np.sin(angles), lengths, point], axis=1)
    return parted(torch.tensor(x), torch.tensor(y), train=2000, target=True)


@cache
def mnist() -> Pair:
    data = load(str(SHARED / "mnist"), seed=0)
    x, y = data.train.batch(torch.arange(2000))
    held = data.validation.batch(torch.arange(1000))
    return (x, y), held


def mlp(inputs: int, outputs: int, width: int = 64, depth: int = 2, norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else width, width)]
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers += [nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def convolutions(outputs: int = 10) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 49, outputs),
    )


def case(rows: Pair, make_model: Callable[[], nn.Module], **settings: object) -> Case:
    (x, y), (held_x, held_y) = rows
    return Case(make_model, x, y, held_x, held_y, **settings)  # type: ignore[arg-type]


def digits_mlp() -> Case:
    return case(digits(), lambda: mlp(64, 10), loss="cross_entropy", rule="adam", lr=2e-3, batch_size=32, epochs=12)


def banknote_sgd() -> Case:
    rows = table("banknote_authentication", train=1000)
    return case(
        rows, lambda: mlp(4, 2, 32), loss="cross_entropy", rule="sgd", lr=0.05, momentum=0.9, batch_size=32, epochs=15
    )


def friedman_mlp() -> Case:
    return case(friedman(), lambda: mlp(10, 1), loss="mse", rule="adam", lr=3e-3, batch_size=32, epochs=20)


def digits_norm() -> Case:
    return case(
        digits(),
        lambda: mlp(64, 10, 32, 3, norm=True),
        loss="cross_entropy",
        rule="sgd",
        lr=0.1,
        momentum=0.9,
        batch_size=64,
        epochs=10,
        schedule="cosine",
    )


def mnist_cnn() -> Case:
    return case(mnist(), convolutions, loss="cross_entropy", rule="adam", lr=3e-3, batch_size=64, epochs=6)


def seeds_mlp() -> Case:
    rows = table("wheat_seeds", train=160)
    return case(rows, lambda: mlp(7, 3, 32, 1), loss="cross_entropy", rule="adamw", lr=1e-2, batch_size=16, epochs=40)


def waves_sgd() -> Case:
    return case(
        waves(), lambda: mlp(6, 1, 64, 2), loss="mse", rule="sgd", lr=0.03, momentum=0.9, batch_size=32, epochs=20
    )


def mnist_norm() -> Case:
    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 49, 10),
        )

    return case(mnist(), make, loss="cross_entropy", rule="sgd", lr=0.05, momentum=0.9, batch_size=50, epochs=6)


def spirals_tanh() -> Case:
    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 3))

    return case(spirals(), make, loss="cross_entropy", rule="rmsprop", lr=2e-3, batch_size=32, epochs=25)


def arm_norm() -> Case:
    def make() -> nn.Module:
        return mlp(8, 1, 64, 2, norm=True)

    return case(arm(), make, loss="mse", rule="adamw", lr=3e-3, batch_size=64, epochs=20, schedule="cosine")


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task("digits-mlp", digits_mlp, False),
        Task("banknote-sgd", banknote_sgd, False),
        Task("friedman-mlp", friedman_mlp, False),
        Task("digits-norm", digits_norm, False),
        Task("mnist-cnn", mnist_cnn, True),
        Task("seeds-mlp", seeds_mlp, True),
        Task("waves-sgd", waves_sgd, True),
        Task("mnist-norm", mnist_norm, True),
        Task("spirals-tanh", spirals_tanh, True),
        Task("arm-norm", arm_norm, True),
    )
}

"""Healthy trainings over other data, models, rules and rates: no alarm may be raised over one.

Some are merely not the best there is: a rate a third of the best or thrice it, few epochs, noise in the targets, uneven
classes, inputs in [0, 1], a small table that is learnt a little too well. Each comes near to the skill on held-out rows
that a plain network reaches there (within 0.06 of the skill), and trains in under three seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

import numpy as np
import sklearn.datasets
import torch
from torch import Tensor, nn

from ravine.data import load
from ravine.diagnosis import Case

from .tasks import SHARED, TASKS, Pair, case, diabetes, digits, friedman, mlp, mnist, parted, table, waves

__all__ = ["HEALTHY", "healthy"]


def healthy() -> Iterator[tuple[str, Case]]:
    """(name, case) of every healthy training: the base tasks, then those of `HEALTHY`."""
    for name, task in TASKS.items():
        yield name, task.make()
    for name, make in HEALTHY.items():
        yield name, make()


# data


def scaled(rows: Pair, change: Callable[[Tensor], Tensor]) -> Pair:
    """The same rows, inputs changed."""
    (x, y), (held_x, held_y) = rows
    return (change(x), y), (change(held_x), held_y)


def unit_digits() -> Pair:
    """Digits as a person divides them by 16: in [0, 1], border pixels always 0."""
    return scaled(digits(), lambda x: (x + 1) / 2)


def digit_images() -> Pair:
    return scaled(unit_digits(), lambda x: x.reshape(-1, 1, 8, 8))


def digit_words() -> Pair:
    """Digits as whole numbers 0 .. 16, for an embedding."""
    return scaled(digits(), lambda x: ((x + 1) * 8).round().to(torch.int64))


def small_digits() -> Pair:
    (x, y), held = unit_digits()
    return (x[:400], y[:400]), held


def flat_mnist() -> Pair:
    return scaled(mnist(), lambda x: x.flatten(1))


@cache
def sample(name: str, *, train: int, target: bool = False, scale: bool = True, **settings: object) -> Pair:
    """A made-up or small data set of scikit-learn."""
    x, y = getattr(sklearn.datasets, name)(**settings)
    return parted(torch.tensor(x), torch.tensor(y), train=train, target=target, scale=scale)


@cache
def toy(name: str) -> Pair:
    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    return parted(torch.tensor(x), torch.tensor(y), train=int(0.75 * len(x)))


@cache
def uneven() -> Pair:
    """Two classes, seven rows of one for three of the other."""
    return sample(
        "make_classification",
        train=1200,
        n_samples=1600,
        n_informative=6,
        class_sep=1.5,
        weights=(0.7,),
        random_state=3,
    )


@cache
def hastie() -> Pair:
    """Whether the squares of ten inputs add up to more than their median; labels -1 and 1 made 0 and 1."""
    (x, y), (held_x, held_y) = sample("make_hastie_10_2", train=3000, n_samples=4000, random_state=0)
    return (x, (y > 0).long()), (held_x, (held_y > 0).long())


@cache
def sentences() -> Pair:
    """Sixteen words of sixty; the class is the topic of most of them."""
    draw = np.random.default_rng(5)
    y = draw.integers(3, size=2000)
    own, any_word = 20 * y[:, None] + draw.integers(20, size=(2000, 16)), draw.integers(60, size=(2000, 16))
    words = np.where(draw.random((2000, 16)) < 0.4, own, any_word)
    return (torch.tensor(words[:1600]), torch.tensor(y[:1600])), (torch.tensor(words[1600:]), torch.tensor(y[1600:]))


@cache
def signals() -> Pair:
    """Sines of three frequencies in noise, [N, 1, 64]."""
    draw = np.random.default_rng(6)
    y = draw.integers(3, size=1200)
    phase, time = draw.uniform(0, 2 * np.pi, size=(1200, 1)), np.linspace(0, 1, 64)
    x = np.sin(2 * np.pi * (3 + 2 * y[:, None]) * time + phase) + 0.5 * draw.normal(size=(1200, 64))
    return parted(torch.tensor(x[:, None]), torch.tensor(y), train=900, scale=False)


@cache
def straight() -> Pair:
    """A line of eight inputs, a third of the target's variance noise."""
    draw = np.random.default_rng(7)
    x = draw.normal(size=(1000, 8))
    return parted(
        torch.tensor(x), torch.tensor(x @ draw.normal(size=8) + 1.8 * draw.normal(size=1000)), train=800, target=True
    )


@cache
def several() -> Pair:
    """Three targets at once, [N, 3]."""
    x, y = sklearn.datasets.make_regression(900, 12, n_informative=8, n_targets=3, noise=20.0, random_state=2)
    return parted(torch.tensor(x), torch.tensor((y - y.mean(0)) / y.std(0)).float(), train=700)


@cache
def cifar(*classes: int) -> Pair:
    """About 1,000 photographs of some classes and 400 to hold out, scaled to mean 0 and deviation 1 per channel."""
    data = load(str(SHARED / "cifar10"), seed=0)
    x, y = data.train.batch(torch.arange(500 * 10 // len(classes) * len(classes)))
    chosen = torch.isin(y, torch.tensor(classes))
    x, y = x[chosen].float(), y[chosen]
    labels = torch.zeros_like(y)
    for new, old in enumerate(classes):
        labels[y == old] = new
    center, spread = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    cut = int(0.75 * len(x))
    x = (x - center) / spread
    return (x[:cut], labels[:cut]), (x[cut:], labels[cut:])


# models


def stack(
    inputs: int, outputs: int, *widths: int, act: type[nn.Module] = nn.ReLU, drop: float = 0.0, norm: str = ""
) -> nn.Module:
    """An MLP with an activation, a dropout and a normalization of choice."""
    layers: list[nn.Module] = []
    for width in widths:
        layers.append(nn.Linear(inputs, width))
        layers += [nn.BatchNorm1d(width)] if norm == "batch" else [nn.LayerNorm(width)] if norm == "layer" else []
        layers.append(act())
        layers += [nn.Dropout(drop)] if drop else []
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class Residual(nn.Module):
    """Blocks that add to what they are given."""

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.last(x)
        return out


class Words(nn.Module):
    """The mean of embedded whole numbers, or all of them side by side, then an MLP."""

    def __init__(self, words: int, size: int, outputs: int, length: int = 0) -> None:
        super().__init__()
        self.embedding, self.length = nn.Embedding(words, size), length
        self.head = stack(size * (length or 1), outputs, 32)

    def forward(self, x: Tensor) -> Tensor:
        found = self.embedding(x)
        out: Tensor = self.head(found.flatten(1) if self.length else found.mean(1))
        return out


class Recurrent(nn.Module):
    """A GRU that reads an image row by row."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body, self.head = nn.GRU(inputs, 32, batch_first=True), nn.Linear(32, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(x.flatten(0, 0).squeeze(1))[0][:, -1])
        return out


def small_cnn(
    channels: int, outputs: int, act: type[nn.Module] = nn.ReLU, norm: bool = False, size: int = 8, first: int = 1
) -> nn.Module:
    """Two convolutions and a linear layer. first: stride of the first."""
    layers: list[nn.Module] = []
    size //= first
    for width, stride in ((16, first), (32, 1)):
        layers.append(nn.Conv2d(channels, width, stride + 2, stride=stride, padding=1))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers += [act(), nn.MaxPool2d(2)]
        channels, size = width, size // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * size**2, outputs))


def waves_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(),
        nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(64, 3),
    )  # fmt: skip


def log_probabilities(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, nn.LogSoftmax(dim=1))


def probability(model: nn.Module) -> nn.Module:
    return nn.Sequential(model, nn.Sigmoid())


MOONS = {"n_samples": 1000, "noise": 0.15, "random_state": 0}
CIRCLES = {"n_samples": 1000, "noise": 0.08, "factor": 0.5, "random_state": 0}
BLOBS = {"n_samples": 1200, "centers": 5, "n_features": 8, "cluster_std": 3.0, "random_state": 1}
MADE = {"n_samples": 2000, "n_features": 20, "n_informative": 10, "n_classes": 4, "class_sep": 1.5, "random_state": 0}
RINGS = {"n_samples": 1500, "n_features": 4, "n_classes": 3, "random_state": 0}
LINES = {"n_samples": 700, "n_features": 15, "n_informative": 10, "noise": 10.0, "random_state": 0}

CE, MSE = {"loss": "cross_entropy"}, {"loss": "mse"}
SGD = {"rule": "sgd", "momentum": 0.9}
ADAM = {"rule": "adam"}

HEALTHY: Mapping[str, Callable[[], Case]] = {
    # digits: inputs in [0, 1] and in [-1, 1], every kind of layer
    "digits-unit-dropout": lambda: case(
        unit_digits(), lambda: stack(64, 10, 128, drop=0.5), **CE, **ADAM, lr=2e-3, batch_size=32, epochs=15
    ),
    "digits-unit-plain-sgd": lambda: case(unit_digits(), lambda: stack(64, 10, 64), **CE, rule="sgd", lr=0.2, batch_size=16, epochs=20),
    "digits-tanh": lambda: case(
        digits(), lambda: stack(64, 10, 64, 64, act=nn.Tanh), **CE, **SGD, lr=0.02, batch_size=32, epochs=15
    ),
    "digits-gelu-layer-norm": lambda: case(
        digits(), lambda: stack(64, 10, 64, 64, act=nn.GELU, norm="layer"), **CE, rule="adamw", lr=2e-3, batch_size=64,
        epochs=15, weight_decay=0.01, schedule="cosine",
    ),
    "digits-residual": lambda: case(digits(), lambda: Residual(64, 10, 48, 3), **CE, **ADAM, lr=1e-3, batch_size=32, epochs=10),
    "digits-cnn": lambda: case(digit_images(), lambda: small_cnn(1, 10), **CE, **ADAM, lr=3e-3, batch_size=64, epochs=10),
    "digits-cnn-batch-norm": lambda: case(
        digit_images(), lambda: small_cnn(1, 10, norm=True), **CE, **SGD, nesterov=True, lr=0.05, batch_size=64, epochs=8, weight_decay=5e-4
    ),
    "digits-embedding": lambda: case(digit_words(), lambda: Words(17, 8, 10, 64), **CE, **ADAM, lr=3e-3, batch_size=32, epochs=20),
    "digits-gru": lambda: case(digit_images(), lambda: Recurrent(8, 10), **CE, **ADAM, lr=5e-3, batch_size=64, epochs=15),
    "digits-few-rows": lambda: case(small_digits(), lambda: stack(64, 10, 64), **CE, **ADAM, lr=3e-3, batch_size=16, epochs=30),
    "digits-large-batch": lambda: case(digits(), lambda: stack(64, 10, 128), **CE, **ADAM, lr=5e-3, batch_size=256, epochs=40),
    "digits-small-batch": lambda: case(digits(), lambda: stack(64, 10, 32), **CE, rule="sgd", lr=0.02, batch_size=8, epochs=10),
    "digits-log-softmax": lambda: case(
        digits(), lambda: log_probabilities(stack(64, 10, 64)), loss="nll", **ADAM, lr=2e-3, batch_size=32, epochs=12
    ),
    "digits-deep": lambda: case(digits(), lambda: stack(64, 10, *6 * [64]), **CE, **ADAM, lr=1e-3, batch_size=32, epochs=15),
    "digits-deep-batch-norm": lambda: case(
        digits(), lambda: stack(64, 10, *8 * [32], norm="batch"), **CE, **ADAM, lr=3e-3, batch_size=64, epochs=15
    ),
    "digits-linear": lambda: case(digits(), lambda: stack(64, 10), **CE, **ADAM, lr=3e-3, batch_size=32, epochs=25),
    # digits: every rule
    "digits-rmsprop": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="rmsprop", lr=1e-3, batch_size=32, epochs=12),
    "digits-adagrad": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="adagrad", lr=0.03, batch_size=32, epochs=12),
    "digits-adadelta": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="adadelta", lr=1.0, batch_size=32, epochs=15),
    "digits-adamax": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="adamax", lr=5e-3, batch_size=32, epochs=12),
    "digits-nadam": lambda: case(digits(), lambda: stack(64, 10, 64, 64), **CE, rule="nadam", lr=1e-3, batch_size=32, epochs=12),
    "digits-radam": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="radam", lr=3e-3, batch_size=32, epochs=15),
    "digits-lion": lambda: case(
        digits(), lambda: stack(64, 10, 64), **CE, rule="lion", lr=1e-3, batch_size=32, epochs=12, weight_decay=0.1
    ),
    "digits-lamb": lambda: case(digits(), lambda: stack(64, 10, 64), **CE, rule="lamb", lr=0.01, batch_size=64, epochs=20),
    "digits-muon": lambda: case(digits(), lambda: stack(64, 10, 32), **CE, rule="muon", lr=0.01, batch_size=64, epochs=10),
    "digits-soap": lambda: case(digits(), lambda: stack(64, 10, 32), **CE, rule="soap", lr=1e-2, batch_size=64, epochs=8),
    "digits-shampoo": lambda: case(digits(), lambda: stack(64, 10, 32), **CE, rule="shampoo", lr=0.03, batch_size=64, epochs=8),
    "digits-schedule-free": lambda: case(
        digits(), lambda: stack(64, 10, 64), **CE, rule="schedule_free_adamw", lr=5e-3, batch_size=32, epochs=12
    ),
    # images
    "mnist-mlp": lambda: case(flat_mnist(), lambda: stack(784, 10, 64), **CE, **ADAM, lr=1e-3, batch_size=32, epochs=8),
    "mnist-mlp-plain-sgd": lambda: case(
        flat_mnist(), lambda: stack(784, 10, 64), **CE, rule="sgd", lr=0.1, batch_size=32, epochs=10, schedule="linear"
    ),
    "mnist-cnn-leaky": lambda: case(
        mnist(), lambda: small_cnn(1, 10, nn.LeakyReLU, size=28, first=2), **CE, **ADAM, lr=3e-3, batch_size=64, epochs=4
    ),
    "cifar-two-classes": lambda: case(
        cifar(0, 6), lambda: small_cnn(3, 2, norm=True, size=32, first=4), **CE, rule="adamw", lr=2e-3, batch_size=32, epochs=6
    ),
    # points and tables, classes
    "moons": lambda: case(sample("make_moons", train=750, **MOONS), lambda: mlp(2, 2, 32), **CE, **ADAM, lr=1e-2, batch_size=32, epochs=20),
    "circles-one-logit": lambda: case(
        sample("make_circles", train=750, **CIRCLES), lambda: stack(2, 1, 32, 32), loss="bce_with_logits", **ADAM,
        lr=5e-3, batch_size=32, epochs=20,
    ),
    "circles-probability": lambda: case(
        sample("make_circles", train=750, **CIRCLES), lambda: probability(stack(2, 1, 32, act=nn.Tanh)), loss="bce", **ADAM,
        lr=2e-2, batch_size=32, epochs=25,
    ),
    "blobs": lambda: case(sample("make_blobs", train=900, **BLOBS), lambda: mlp(8, 5, 32, 1), **CE, **SGD, lr=0.03, batch_size=32, epochs=10),
    "made-four-classes": lambda: case(
        sample("make_classification", train=1600, **MADE), lambda: stack(20, 4, 128), **CE, rule="adamw", lr=2e-3,
        batch_size=64, epochs=20, schedule="one_cycle",
    ),
    "rings": lambda: case(
        sample("make_gaussian_quantiles", train=1100, **RINGS), lambda: stack(4, 3, 64, act=nn.SiLU), **CE, **ADAM, lr=5e-3, batch_size=32, epochs=15
    ),
    "hastie": lambda: case(hastie(), lambda: stack(10, 1, 64), loss="bce_with_logits", **ADAM, lr=3e-3, batch_size=64, epochs=15),
    "uneven-classes": lambda: case(uneven(), lambda: stack(20, 2, 32), **CE, **ADAM, lr=3e-3, batch_size=32, epochs=15),
    "iris": lambda: case(toy("iris"), lambda: mlp(4, 3, 16, 1), **CE, **ADAM, lr=1e-2, batch_size=16, epochs=40),
    "wine": lambda: case(toy("wine"), lambda: mlp(13, 3, 16, 1), **CE, **SGD, lr=0.03, batch_size=16, epochs=25),
    "breast-cancer": lambda: case(
        toy("breast_cancer"), lambda: stack(30, 1, 32), loss="bce_with_logits", rule="adamw", lr=2e-3, batch_size=32, epochs=20
    ),
    "pima": lambda: case(table("pima_indians_diabetes", train=600), lambda: mlp(8, 2, 16, 1), **CE, **ADAM, lr=2e-3, batch_size=32, epochs=15),
    "ionosphere": lambda: case(
        table("ionosphere", train=260), lambda: stack(33, 2, 32, drop=0.2), **CE, **ADAM, lr=3e-3, batch_size=16, epochs=20
    ),
    "german-credit": lambda: case(
        table("german_credit", train=800), lambda: stack(61, 2, 32, drop=0.3), **CE, rule="adamw", lr=1e-3, batch_size=32, epochs=10
    ),
    "banknote-nesterov": lambda: case(
        table("banknote_authentication", train=1000), lambda: mlp(4, 2, 32), **CE, **SGD, nesterov=True, lr=0.03,
        batch_size=32, epochs=10, schedule="step",
    ),
    "sentences": lambda: case(sentences(), lambda: Words(60, 16, 3), **CE, **ADAM, lr=5e-3, batch_size=32, epochs=10),
    "signals": lambda: case(signals(), waves_cnn, **CE, **ADAM, lr=3e-3, batch_size=32, epochs=10),
    # regressions
    "friedman-mae": lambda: case(friedman(), lambda: mlp(10, 1, 64), loss="mae", **ADAM, lr=3e-3, batch_size=32, epochs=25),
    "friedman-batch-norm": lambda: case(
        friedman(), lambda: stack(10, 1, 64, 64, norm="batch"), **MSE, **ADAM, lr=3e-3, batch_size=64, epochs=25, schedule="cosine"
    ),
    "waves-gelu": lambda: case(waves(), lambda: stack(6, 1, 64, 64, act=nn.GELU), **MSE, rule="adamw", lr=3e-3, batch_size=64, epochs=25),
    "straight-line": lambda: case(straight(), lambda: nn.Linear(8, 1), **MSE, rule="sgd", lr=0.03, batch_size=32, epochs=10),
    "straight-line-mlp": lambda: case(straight(), lambda: stack(8, 1, 16), **MSE, **ADAM, lr=2e-3, batch_size=32, epochs=12),
    "several-targets": lambda: case(several(), lambda: stack(12, 3, 64), **MSE, **ADAM, lr=3e-3, batch_size=32, epochs=25),
    "lines": lambda: case(
        sample("make_regression", train=550, target=True, **LINES), lambda: stack(15, 1, 32, act=nn.LeakyReLU), **MSE, **SGD,
        lr=0.01, batch_size=32, epochs=20,
    ),
    "diabetes": lambda: case(diabetes(), lambda: mlp(10, 1, 16, 1), **MSE, **SGD, lr=0.01, batch_size=32, epochs=15),
}  # fmt: skip
"""Healthy trainings by name, besides the base tasks."""

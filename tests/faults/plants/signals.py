"""Faults of signals and of regularization, planted: in the initial weights, in the depth, in penalties, in the rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnosis import Case
from ravine.randomness import generator

from .kinds import Plant, Severity

__all__ = ["PLANTS"]

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def mended(case: Case, change: Callable[[nn.Module], object]) -> Case:
    """The case with its model changed where it stands."""

    def make() -> nn.Module:
        model = case.build()
        with torch.no_grad():
            change(model)
        return model

    return case.but(make_model=make)


def before(model: nn.Module, *kinds: type[nn.Module]) -> list[Any]:
    """The layers whose outputs go into an activation of these kinds."""
    order = [module for module in model.modules() if not list(module.children())]
    return [one for one, after in itertools.pairwise(order) if isinstance(after, kinds)]


def scaled(model: nn.Module, factor: float) -> None:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.mul_(factor)


def normed(case: Case) -> bool:
    return any(isinstance(module, NORMS) for module in case.build().modules())


def init_too_large(case: Case, severity: Severity) -> Case | None:
    return mended(case, lambda model: scaled(model, 10 if severity == "mild" else 50))


def init_too_small(case: Case, severity: Severity) -> Case | None:
    """Where batches are normalized, small weights do no harm."""
    if normed(case):
        return None
    return mended(case, lambda model: scaled(model, 0.01 if severity == "mild" else 1e-3))


def dead_units(case: Case, severity: Severity) -> Case | None:
    """Biases of -10 for nine units in ten, or for all; a network without ReLU has no units that can be dead."""
    if not before(case.build(), nn.ReLU):
        return None

    def kill(model: nn.Module) -> None:
        for layer in before(model, nn.ReLU):
            units = layer.bias.numel()
            layer.bias[: units if severity == "severe" else round(0.9 * units)] = -10.0

    return mended(case, kill)


def saturated_units(case: Case, severity: Severity) -> Case | None:
    """Tanh units on weights 30 times too large, or sigmoids with biases 100 too large besides."""

    def saturate(model: nn.Module) -> None:
        for layer in before(model, nn.ReLU, nn.Tanh):
            layer.weight.mul_(30)
            if severity == "severe":
                layer.bias.add_(100)
        swap(model, nn.Tanh if severity == "mild" else nn.Sigmoid)

    return mended(case, saturate)


def swap(model: nn.Module, kind: type[nn.Module]) -> None:
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.ReLU | nn.Tanh):
                setattr(module, name, kind())


def stack(case: Case, depth: int, activation: type[nn.Module], gain: float = 0.0, width: int = 32) -> Case:
    """A plain stack of `depth` hidden layers; with a gain, weights of that over the square root of the inputs."""
    inputs, outputs = case.x[0].numel(), case.classes

    def make() -> nn.Module:
        layers: list[nn.Module] = [nn.Flatten()]
        for i in range(depth):
            layers += [nn.Linear(inputs if i == 0 else width, width), activation()]
        model = nn.Sequential(*layers, nn.Linear(width, outputs))
        with torch.no_grad():
            for module in model.modules():
                if gain and isinstance(module, nn.Linear):
                    module.weight.normal_(0, gain / module.in_features**0.5)
        return model

    return case.but(make_model=make)


def vanishing_gradient(case: Case, severity: Severity) -> Case | None:
    return stack(case, 8 if severity == "mild" else 15, nn.Sigmoid)


def exploding_gradient(case: Case, severity: Severity) -> Case | None:
    """Each layer makes the signal 1.8, or 3, times as large, and with it the gradient."""
    return stack(case, 12, nn.ReLU, gain=2.5) if severity == "mild" else stack(case, 14, nn.ReLU, gain=4.5)


def over_regularized(case: Case, severity: Severity) -> Case | None:
    """Nine units in ten dropped, or a weight decay of 1 (10 where it is decoupled from the gradient)."""
    if severity == "severe":
        return case.but(weight_decay=10.0 if case.rule == "adamw" else 1.0)

    def drop(model: nn.Module) -> None:
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, nn.ReLU):
                    setattr(module, name, nn.Sequential(child, nn.Dropout(0.9)))

    return mended(case, drop)


def over_fitting(case: Case, severity: Severity) -> Case | None:
    """A wide network and hundreds of epochs over rows that say little: their noise is learnt by heart."""
    rows, noise = min(max(200, 30 * case.classes), len(case.x)), (1.2 if severity == "mild" else 1.6)
    inputs, outputs = case.x[0].numel(), case.classes

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs, 256),
            nn.ReLU(),
            nn.Linear(256, 256),
            nn.ReLU(),
            nn.Linear(256, outputs),
        )

    def noisy(x: Tensor, which: str) -> Tensor:
        return x + noise * x.std() * torch.randn(x.shape, generator=generator(0, which))

    return case.but(
        make_model=make,
        x=noisy(case.x[:rows], "train"),
        y=case.y[:rows],
        held_x=noisy(case.held_x, "held"),
        rule="adam",
        lr=1e-3,
        momentum=0.0,
        schedule=None,
        batch_size=32,
        epochs=100 if severity == "mild" else 200,
    )


class Squeezed(nn.Module):
    """A network that is shown only the first inputs."""

    def __init__(self, inner: nn.Module, shown: int) -> None:
        super().__init__()
        self.inner, self.shown = inner, shown

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        seen = torch.zeros_like(flat)
        seen[:, : self.shown] = flat[:, : self.shown]
        return self.inner(seen.reshape(x.shape))  # type: ignore[no-any-return]


def under_fitting(case: Case, severity: Severity) -> Case | None:
    """The model looks at a part of its inputs only."""
    inputs = case.x[0].numel()
    shown = max(1, round(inputs * (0.3 if severity == "mild" else 0.15)))
    return case.but(make_model=lambda: Squeezed(case.build(), shown))


PLANTS: Mapping[str, Plant] = {
    "init-too-large": init_too_large,
    "init-too-small": init_too_small,
    "dead-units": dead_units,
    "saturated-units": saturated_units,
    "vanishing-gradient": vanishing_gradient,
    "exploding-gradient": exploding_gradient,
    "over-regularized": over_regularized,
    "over-fitting": over_fitting,
    "under-fitting": under_fitting,
}

"""Faults of the model and of the loop round it, each planted in a small training, and healthy ones that come near it.

One look a training: the checks of this group alone are asked, and an alarm is a confidence over one half.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnosis import Case, Finding, Look, case_of, findings_of

CHECKED = (
    "wrong-output-size",
    "softmax-before-loss",
    "bounded-output",
    "missing-nonlinearity",
    "symmetric-init",
    "frozen-parameters",
    "unused-parameters",
    "samples-mixed-in-batch",
    "train-eval-mismatch",
    "capacity-too-small",
    "wrong-loss",
    "gradient-ascent",
    "gradients-not-cleared",
    "stale-or-foreign-parameters",
)
ROWS, INPUTS, CLASSES = 400, 6, 3

Pair = tuple[Tensor, Tensor]


@pytest.fixture(autouse=True)
def _short_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """These small tasks are learnt in fewer steps than a reference usually takes."""
    monkeypatch.setattr("ravine.diagnosis.look.REFERENCE_STEPS", 200)


def inputs() -> Tensor:
    return torch.randn(ROWS, INPUTS, generator=torch.Generator().manual_seed(0))


def rings() -> Pair:
    """Three classes by the distance from the middle in two of six columns: no linear model tells them apart."""
    x = inputs()
    return x, torch.bucketize(x[:, :2].norm(dim=1), torch.tensor([0.8, 1.5]))


def halves() -> Pair:
    """Two classes, 0 and 1."""
    x, y = rings()
    return x, (y > 0).long()


def waves() -> Pair:
    x = inputs()
    y = x[:, 0] * x[:, 1] + torch.sin(2 * x[:, 2])
    return x, (y - y.mean()) / y.std()


def pictures() -> Pair:
    x = torch.randn(ROWS, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return x, (x[:, 0, :3].mean((1, 2)) > x[:, 0, 3:].mean((1, 2))).long()


def sequences() -> Pair:
    x = torch.randn(ROWS, 5, 4, generator=torch.Generator().manual_seed(2))
    return x, (x[:, :, 0].sum(1) > 0).long()


def net(
    outputs: int = CLASSES, *end: nn.Module, width: int = 32, act: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(INPUTS, width), act(), nn.Linear(width, width), act(), nn.Linear(width, outputs), *end
    )


def case(make: Callable[..., nn.Module], data: Pair, **settings: Any) -> Case:
    usual: dict[str, Any] = {"loss": "cross_entropy", "rule": "adam", "lr": 1e-2, "batch_size": 32, "epochs": 12}
    return case_of(make, data, **{**usual, **settings})


def found(make: Callable[..., nn.Module], data: Pair, **settings: Any) -> list[Finding]:
    return findings_of(Look(case(make, data, **settings)), CHECKED)


class Changed(nn.Module):
    """A model with something done to its inputs, its hidden units and its outputs."""

    def __init__(self, outputs: int = CLASSES, **done: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(INPUTS, 32), nn.Linear(32, outputs)
        self.done = done

    def forward(self, x: Tensor) -> Tensor:
        before, mid, after = (self.done.get(name, lambda z: z) for name in ("before", "mid", "after"))
        return after(self.last(mid(F.relu(self.first(before(x))))))


class Spare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.spare = net(), nn.Linear(32, 32)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)


class Listed(nn.Module):
    """Layers in a plain list, which parameters() does not find."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.last = [nn.Linear(INPUTS, 32), nn.ReLU()], nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.last(x)


class Recurrent(nn.Module):
    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.cell, self.last = nn.GRU(4, 16, batch_first=batch_first), nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.cell(x)[0][:, -1])


def constant(value: float) -> nn.Module:
    model = net()
    for layer in model:
        if isinstance(layer, nn.Linear):
            nn.init.constant_(layer.weight, value)
    return model


def frozen_first() -> nn.Module:
    model = net()
    model[0].requires_grad_(False)
    model[2].requires_grad_(False)
    return model


def normed(momentum: float) -> nn.Module:
    norm = nn.BatchNorm1d(32, momentum=momentum)
    return nn.Sequential(nn.Linear(INPUTS, 32), norm, nn.ReLU(), nn.Linear(32, CLASSES))


def evaluating() -> nn.Module:
    return nn.Sequential(nn.Linear(INPUTS, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, CLASSES)).eval()


def pooled(act: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        act(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        act(),
        nn.Flatten(),
        nn.Linear(72, 2),
    )


def broadcast(outputs: Tensor, y: Tensor) -> Tensor:
    return (outputs - y).square().mean()


def negated(outputs: Tensor, y: Tensor) -> Tensor:
    return -F.cross_entropy(outputs, y)


class Keeping(torch.optim.SGD):
    def zero_grad(self, set_to_none: bool = True) -> None:
        pass


def foreign(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam([copy.deepcopy(p) for p in parameters], lr=lr)


def headless(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(list(parameters)[:-2], lr=lr)


def uphill(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, maximize=True)


PLANTED: dict[str, tuple[str, Callable[..., nn.Module], Callable[[], Pair], dict[str, Any]]] = {
    "an output too few": ("wrong-output-size", partial(net, 2), rings, {}),
    "twice as many outputs": ("wrong-output-size", partial(net, 6), rings, {}),
    "two outputs for a number": ("wrong-output-size", partial(net, 2), waves, {"loss": "mse"}),
    "softmax": ("softmax-before-loss", partial(net, 3, nn.Softmax(1)), rings, {}),
    "softmax of a function, own loss": (
        "softmax-before-loss",
        partial(Changed, after=partial(torch.softmax, dim=1)),
        rings,
        {"loss": lambda outputs, y: F.cross_entropy(outputs, y)},
    ),
    "nll of probabilities": ("softmax-before-loss", partial(net, 3, nn.Softmax(1)), rings, {"loss": "nll"}),
    "two sigmoids": (
        "softmax-before-loss",
        partial(Changed, 1, after=torch.sigmoid),
        halves,
        {"loss": "bce_with_logits"},
    ),
    "tanh before wide targets": ("bounded-output", partial(Changed, 1, after=torch.tanh), waves, {"loss": "mse"}),
    "ReLU before cross_entropy": ("bounded-output", partial(net, 3, nn.ReLU()), rings, {}),
    "no activation": ("missing-nonlinearity", partial(net, act=nn.Identity), rings, {}),
    "pooling alone": ("missing-nonlinearity", partial(pooled, nn.Identity), pictures, {"epochs": 3}),
    "weights of nought": ("symmetric-init", partial(constant, 0.0), rings, {}),
    "weights all alike": ("symmetric-init", partial(constant, 0.1), rings, {}),
    "frozen layers": ("frozen-parameters", frozen_first, rings, {"epochs": 4}),
    "a graph cut": ("frozen-parameters", partial(Changed, mid=torch.detach), rings, {}),
    "a spare layer": ("unused-parameters", Spare, rings, {}),
    "softmax over rows": ("samples-mixed-in-batch", partial(Changed, after=partial(torch.softmax, dim=0)), rings, {}),
    "batch for time": ("samples-mixed-in-batch", partial(Recurrent, False), sequences, {"epochs": 2}),
    "dropout left on": ("train-eval-mismatch", partial(Changed, mid=F.dropout), rings, {}),
    "running statistics that stand": ("train-eval-mismatch", partial(normed, 1e-4), rings, {}),
    "evaluation mode": ("train-eval-mismatch", evaluating, rings, {}),
    "one unit": ("capacity-too-small", partial(net, width=1), rings, {}),
    "a linear model": ("capacity-too-small", partial(nn.Linear, INPUTS, 1), waves, {"loss": "mse"}),
    "nll of logits": ("wrong-loss", net, rings, {"loss": "nll"}),
    "bce of numbers": ("wrong-loss", partial(net, 1), waves, {"loss": "bce_with_logits"}),
    "classes as numbers": ("wrong-loss", net, rings, {"loss": "mse"}),
    "a broadcast": ("wrong-loss", partial(net, 1), waves, {"loss": broadcast}),
    "loss negated": ("gradient-ascent", net, rings, {"loss": negated, "epochs": 3}),
    "maximized": ("gradient-ascent", net, rings, {"rule": uphill, "lr": 0.05, "epochs": 3}),
    "gradients kept": (
        "gradients-not-cleared",
        net,
        rings,
        {"rule": lambda p, lr: Keeping(p, lr=lr), "lr": 0.05, "epochs": 3},
    ),
    "copies": ("stale-or-foreign-parameters", net, rings, {"rule": foreign, "epochs": 2}),
    "no head": ("stale-or-foreign-parameters", net, rings, {"rule": headless, "epochs": 2}),
    "a plain list": ("stale-or-foreign-parameters", Listed, rings, {"epochs": 2}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_the_first_that_is_named(name: str) -> None:
    fault, make, data, settings = PLANTED[name]
    findings = found(make, data(), **settings)
    assert findings, f"nothing is found, and {fault} was planted"
    assert findings[0].fault == fault, [str(finding) for finding in findings]
    assert findings[0].alarm


class ZeroEnded(nn.Module):
    """A residual branch that begins at nought, and so does the head."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Linear(INPUTS, 32), nn.Linear(32, CLASSES)
        self.branch = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32))
        for layer in (self.branch[3], self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        return self.head(x + self.branch(x))


class Accumulating(torch.optim.SGD):
    """A step of every fourth call, over the gradients of all four."""

    calls = 0

    def zero_grad(self, set_to_none: bool = True) -> None:
        if self.calls % 4 == 0:
            super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> Any:
        self.calls += 1
        return super().step(closure) if self.calls % 4 == 0 else None


def pretrained() -> nn.Module:
    """A frozen first layer that is always the same, as one that was loaded is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = net(width=64)
    model[0].requires_grad_(False)
    return model


def between_nought_and_one() -> Pair:
    x, y = waves()
    return x, (y - y.min()) / (y.max() - y.min())


def twice_turned(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=lr, maximize=True)


HEALTHY: dict[str, tuple[Callable[..., nn.Module], Callable[[], Pair], dict[str, Any]]] = {
    "plain": (net, rings, {}),
    "log_softmax before cross_entropy": (partial(net, 3, nn.LogSoftmax(1)), rings, {}),
    "log_softmax before nll": (partial(net, 3, nn.LogSoftmax(1)), rings, {"loss": "nll"}),
    "one sigmoid": (partial(net, 1, nn.Sigmoid()), halves, {"loss": "bce"}),
    "a sigmoid for targets in [0, 1]": (
        partial(net, 1, nn.Sigmoid()),
        between_nought_and_one,
        {"loss": "mse", "epochs": 20},
    ),
    "a ReLU for targets from 0 on": (partial(net, 1, nn.ReLU()), between_nought_and_one, {"loss": "mse"}),
    "logits bent at 30": (partial(Changed, after=lambda z: 30 * torch.tanh(z / 30)), rings, {}),
    "pooling and ReLU": (partial(pooled, nn.ReLU), pictures, {"epochs": 6}),
    "branches from nought": (ZeroEnded, rings, {}),
    "a loaded layer": (pretrained, rings, {}),
    "batch first": (partial(Recurrent, True), sequences, {}),
    "dropout": (lambda: nn.Sequential(net(64, nn.ReLU()), nn.Dropout(0.5), nn.Linear(64, 3)), rings, {"epochs": 15}),
    "batch norm": (partial(normed, 0.1), rings, {}),
    "squares against one-hot": (net, rings, {"loss": lambda o, y: F.mse_loss(o, F.one_hot(y, 3).float())}),
    "squares against one-hot, hardly trained": (
        net,
        rings,
        {"loss": lambda o, y: F.mse_loss(o, F.one_hot(y, 3).float()), "lr": 1e-5, "epochs": 2},
    ),
    "biases left out": (net, rings, {"rule": lambda p, lr: torch.optim.Adam([w for w in p if w.ndim > 1], lr=lr)}),
    "a mean and a spread": (
        partial(net, 2),
        waves,
        {"loss": lambda o, y: F.gaussian_nll_loss(o[:, 0], y, F.softplus(o[:, 1]) + 0.01)},
    ),
    "twice turned": (net, rings, {"loss": negated, "rule": twice_turned}),
    "accumulated": (net, rings, {"rule": lambda p, lr: Accumulating(p, lr=lr), "lr": 0.1, "epochs": 20}),
    "a rate too high": (net, rings, {"lr": 3.0, "epochs": 3}),
    "a rate too low": (net, rings, {"lr": 1e-5, "epochs": 3}),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_what_comes_near_a_fault_raises_no_alarm(name: str) -> None:
    make, data, settings = HEALTHY[name]
    alarms = [str(finding) for finding in found(make, data(), **settings) if finding.alarm]
    assert not alarms


def test_labels_from_one_are_not_the_models_fault() -> None:
    x, y = rings()
    sizes = [f.confidence for f in found(net, (x, y + 1)) if f.fault == "wrong-output-size"]
    assert all(confidence < 0.5 for confidence in sizes)


@pytest.mark.parametrize("name", ["a linear model", "no activation", "weights of nought", "one unit", "loss negated"])
def test_following_the_advice_makes_the_training_better(name: str) -> None:
    _, make, data, settings = PLANTED[name]
    planted = case(make, data(), **{**settings, "epochs": 12})
    look = Look(planted)
    (first, *_) = findings_of(look, CHECKED)
    cured = Look(planted.but(**first.change))
    assert cured.base.held.skill > max(0.0, look.base.held.skill) + 0.1


def test_experiments_are_left_out_when_there_is_no_time() -> None:
    late = Look(case(partial(net, width=1), rings()), deadline=time.monotonic() - 1)
    assert not [finding for finding in findings_of(late, ("capacity-too-small",)) if finding.verified]

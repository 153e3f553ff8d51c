"""Faults of signals and of regularization: each found where it was planted, none where it was not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.diagnosis import Case, Finding, Look, findings_of
from ravine.diagnosis.remaking import Clipped, Undropped, drawn_afresh, root_mean_square, weights_of

NAMES = (
    "init-too-large",
    "init-too-small",
    "dead-units",
    "saturated-units",
    "vanishing-gradient",
    "exploding-gradient",
    "over-regularized",
    "over-fitting",
    "under-fitting",
)


def rows(count: int = 480, noise: float = 0.0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Four classes around centres in ten dimensions: (x, y, held x, held y), of equal parts."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(2 * count) % 4
    centres = torch.randn(4, 10, generator=generator)
    x = centres[y] + (0.5 + noise) * torch.randn(2 * count, 10, generator=generator)
    return x[:count], y[:count], x[count:], y[count:]


def net(activation: Callable[[], nn.Module] = nn.ReLU, hidden: int = 2, width: int = 32) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(hidden):
        layers += [nn.Linear(10 if i == 0 else width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 4))


def case(make: Callable[[], nn.Module] = net, noise: float = 0.0, **settings: object) -> Case:
    x, y, held_x, held_y = rows(noise=noise)
    usual: dict[str, object] = {"loss": "cross_entropy", "rule": "adam", "lr": 3e-3, "batch_size": 32, "epochs": 8}
    return Case(make, x, y, held_x, held_y, **{**usual, **settings})  # type: ignore[arg-type]


def weighted(change: Callable[[nn.Linear], object], make: Callable[[], nn.Module] = net) -> Callable[[], nn.Module]:
    """The model with its hidden layers changed."""

    def made() -> nn.Module:
        model = make()
        with torch.no_grad():
            for module in model.modules():
                if isinstance(module, nn.Linear):
                    change(module)
        return model

    return made


def found(case: Case) -> list[Finding]:
    return findings_of(Look(case), NAMES)


def hidden_biases(value: float, units: int) -> Callable[[nn.Linear], object]:
    return lambda layer: layer.bias[:units].fill_(value) if layer.out_features > 4 else None


def grown(gain: float) -> Callable[[nn.Linear], object]:
    return lambda layer: layer.weight.normal_(0, gain / layer.in_features**0.5)


PLANTED: dict[str, Callable[[], Case]] = {
    "init-too-large": lambda: case(weighted(lambda layer: layer.weight.mul_(20))),
    "init-too-small": lambda: case(weighted(lambda layer: layer.weight.mul_(1e-3)), rule="sgd", lr=0.05),
    "dead-units": lambda: case(weighted(hidden_biases(-10.0, 32))),
    "saturated-units": lambda: case(weighted(hidden_biases(15.0, 32), lambda: net(nn.Sigmoid))),
    "vanishing-gradient": lambda: case(lambda: net(nn.Sigmoid, 8)),
    "exploding-gradient": lambda: case(weighted(grown(4.0), lambda: net(hidden=9)), rule="sgd", lr=0.05),
    "over-regularized": lambda: case(rule="adamw", weight_decay=50.0),
    "over-fitting": lambda: case(lambda: net(width=128), noise=2.0, epochs=40),
}
HEALTHY: dict[str, Callable[[], Case]] = {
    "as it is": case,
    "weights by He": lambda: case(weighted(grown(2**0.5))),
    "weights of 0.1": lambda: case(weighted(lambda layer: layer.weight.normal_(0, 0.1)), epochs=12),
    "a quarter of the units dead": lambda: case(weighted(hidden_biases(-10.0, 8))),
    "tanh": lambda: case(lambda: net(nn.Tanh)),
    "six layers": lambda: case(lambda: net(hidden=6), epochs=12),
    "dropout and decay": lambda: case(
        lambda: nn.Sequential(nn.Linear(10, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 4)),
        rule="adamw",
        weight_decay=0.1,
    ),
    "rows fitted by heart that are predicted well": lambda: case(lambda: net(width=128), noise=0.3, epochs=20),
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_comes_first_and_its_advice_cures_it(fault: str) -> None:
    planted = PLANTED[fault]()
    first = found(planted)[0]
    assert first.fault == fault
    assert first.alarm
    assert first.where
    assert first.evidence
    assert "instead of" in first.verified
    assert fault not in [finding.fault for finding in found(planted.but(**first.change)) if finding.alarm]


@pytest.mark.parametrize("name", HEALTHY)
def test_no_alarm_is_raised_over_a_healthy_training(name: str) -> None:
    assert not [finding for finding in found(HEALTHY[name]()) if finding.alarm]


def test_under_fitting_is_said_where_nothing_else_is() -> None:
    class Blind(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = net()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x * (torch.arange(10) < 2))  # type: ignore[no-any-return]

    findings = found(case(Blind, noise=0.3))
    assert [finding.fault for finding in findings if finding.alarm] == ["under-fitting"]


def test_dead_and_saturated_units_are_seen_where_the_activation_is_a_function() -> None:
    class Net(nn.Module):
        def __init__(self, bend: Callable[[Tensor], Tensor], bias: float) -> None:
            super().__init__()
            self.bend, self.first, self.second, self.last = bend, nn.Linear(10, 32), nn.Linear(32, 32), nn.Linear(32, 4)
            nn.init.constant_(self.first.bias, bias)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.bend(self.second(self.bend(self.first(x)))))  # type: ignore[no-any-return]

    assert found(case(lambda: Net(torch.relu, -10.0)))[0].fault == "dead-units"
    assert found(case(lambda: Net(torch.sigmoid, 15.0), epochs=2))[0].fault == "saturated-units"


def test_a_penalty_inside_the_loss_is_found() -> None:
    models: list[nn.Module] = []

    def make() -> nn.Module:
        models[:] = [net()]
        return models[0]

    def loss(outputs: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(outputs, y) + 0.1 * sum(p.abs().sum() for p in models[0].parameters())

    first = found(case(make, loss=loss))[0]
    assert first.fault == "over-regularized"
    assert first.where == "the penalty in the loss"


def test_dropout_of_modules_and_of_functions_is_taken_off() -> None:
    class Functional(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.dropout(x, 0.5, training=True)

    x = torch.ones(4, 8)
    for inner in (nn.Dropout(0.9), Functional(), nn.Sequential(nn.Identity(), nn.Dropout1d(0.9))):
        assert torch.equal(Undropped(inner).train()(x), x)


def test_drawn_afresh_gives_modules_their_default_and_bare_matrices_their_size() -> None:
    class Bare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(100 * torch.randn(64, 64))
            self.inner = nn.Linear(64, 64)
            nn.init.normal_(self.inner.weight, std=50)

    model = Bare()
    drawn_afresh(model)
    for _, weight, default in weights_of(model):
        assert root_mean_square(weight) == pytest.approx(default, rel=0.05)  # 4,096 draws: 1.1 % of standard error


def test_a_clipped_rule_steps_along_a_gradient_of_norm_one() -> None:
    parameter = nn.Parameter(torch.tensor([0.0, 0.0]))
    optimizer = Clipped(case(rule="sgd"))([parameter], lr=1.0)
    parameter.grad = torch.tensor([30.0, 40.0])
    optimizer.step()
    assert torch.allclose(parameter.detach(), torch.tensor([-0.6, -0.8]), atol=1e-5)

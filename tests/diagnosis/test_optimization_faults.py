"""The faults of the optimization on a small table: each found where it is planted, and not where the run is only unusual."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.diagnosis import Case, Finding, Look, findings_of
from ravine.diagnosis.faults.decayed_too_early import alive
from ravine.diagnosis.faults.oscillating_loss import alternating
from ravine.diagnosis.rates import options
from ravine.diagnosis.regrouped import regrouped
from ravine.schedules import SCHEDULES, MultiStep

FAULTS = (
    "lr-too-high",
    "lr-too-low",
    "momentum-too-high",
    "oscillating-loss",
    "batch-too-small",
    "batch-too-large",
    "too-few-epochs",
    "decayed-too-early",
    "epsilon-too-large",
)


@cache
def rows() -> tuple[Tensor, Tensor]:
    """Five classes in eight dimensions, cut by a random network: smooth, and not linear."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(800, 8, generator=generator)
    hidden = torch.tanh(x @ torch.randn(8, 16, generator=generator) / 2)
    return x, (hidden @ torch.randn(16, 5, generator=generator)).argmax(1)


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 5))


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 5))


def training(**changes: Any) -> Case:
    """A healthy one unless it is changed."""
    x, y = rows()
    healthy = Case(
        network,
        x[:500],
        y[:500],
        x[500:],
        y[500:],
        loss="cross_entropy",
        rule="adam",
        lr=1e-2,
        batch_size=32,
        epochs=15,
    )
    return healthy.but(**changes)


def large_epsilon(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return optim.Adam(parameters, lr=lr, eps=1.0)


def first(case: Case) -> Finding:
    return findings_of(Look(case), FAULTS)[0]


PLANTED: dict[str, dict[str, Any]] = {
    "lr-too-high": {"lr": 3.0},
    "lr-too-low": {"lr": 1e-5},
    "momentum-too-high": {"rule": "sgd", "lr": 0.2, "momentum": 0.995},
    "oscillating-loss": {"lr": 0.2, "epochs": 25},
    "batch-too-small": {"batch_size": 1, "make_model": normed},
    "batch-too-large": {"batch_size": 500},
    "too-few-epochs": {"epochs": 1, "lr": 5e-3},
    "decayed-too-early": {"schedule": MultiStep(milestones=(0.02,), factor=1e-3)},
    "epsilon-too-large": {"rule": large_epsilon},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_told_first_and_its_advice_makes_the_run_healthy(fault: str) -> None:
    case = training(**PLANTED[fault])
    found = first(case)
    assert (found.fault, found.alarm) == (fault, True)
    assert found.verified
    assert not [str(after) for after in findings_of(Look(case.but(**found.change)), FAULTS) if after.alarm]


HEALTHY: dict[str, dict[str, Any]] = {
    "as it is": {},
    "three times the rate": {"lr": 3e-2},
    "a batch of two at its own rate": {"batch_size": 2, "lr": 1e-3, "epochs": 5},
    "all rows in a batch, and epochs enough": {"batch_size": 500, "epochs": 120},
    "a high momentum at its own rate": {"rule": "sgd", "lr": 3e-3, "momentum": 0.98, "epochs": 30},
    "a large epsilon that the rate was chosen for": {"rule": large_epsilon, "lr": 1.0, "epochs": 30},
    "a cosine": {"schedule": "cosine"},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_setting_that_is_only_unusual_raises_no_alarm(name: str) -> None:
    assert not [str(found) for found in findings_of(Look(training(**HEALTHY[name])), FAULTS) if found.alarm]


def test_targets_without_a_rule_raise_no_alarm_of_the_optimization() -> None:
    """More epochs learn these few rows by heart, which is no gain on others."""
    y = torch.randint(0, 5, (60,), generator=torch.Generator().manual_seed(1))
    case = training(x=rows()[0][:60], y=y, batch_size=8, epochs=3)
    assert not [str(found) for found in findings_of(Look(case), FAULTS) if found.alarm]


def test_no_schedule_of_the_registry_is_taken_for_an_early_decay() -> None:
    shares = {name: alive(Look(training(schedule=name))) for name in SCHEDULES}
    assert min(shares.values()) > 0.5, shares


def test_a_loss_that_rises_and_falls_by_turns_over_all_rows_is_told_from_one_that_settles() -> None:
    x = torch.eye(2).repeat(10, 1) * torch.tensor([1.0, 3.0])
    y = x.sum(1)
    line = Case(lambda: nn.Linear(2, 1), x, y, x, y, loss="mse", rule="sgd", lr=0.1, batch_size=20, epochs=60)
    assert not alternating(Look(line))
    edge = line.but(make_model=lambda: nn.Sequential(nn.Linear(2, 1, bias=False), Absolute()), loss="mae", lr=0.5)
    assert alternating(Look(edge))


class Absolute(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.abs()


def test_a_regrouped_rule_keeps_all_other_options() -> None:
    case = training(rule="adamw", weight_decay=0.3)
    look = Look(case.but(rule=regrouped(case, eps=0.5)))
    assert options(look) == {**options(Look(case)), "eps": 0.5}

"""Ravine's training as the objective of a person's own Optuna study."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import optuna
import pytest
import torch
from torch import nn

from ravine.data import Data
from ravine.errors import DataError, SettingError
from ravine.search import Choice, Int, Log, Uniform, objective

SPACE = {"lr": Log(1e-4, 0.3), "hidden": Int(8, 32)}


def mlp(input_shape: tuple[int, ...], outputs: int, hidden: int = 16) -> nn.Module:
    return nn.Sequential(nn.Linear(input_shape[0], hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, outputs))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


def test_tpe_and_a_median_pruner_work_on_it_and_the_best_is_handed_back(three_classes: Data) -> None:
    ours = objective(mlp, three_classes, space=SPACE, epochs=4, setting={"batch_size": 32})
    study = optuna.create_study(
        direction=ours.direction,
        sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=4),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3),
    )
    study.optimize(ours, n_trials=12)
    states = [trial.state.name for trial in study.trials]
    assert states.count("PRUNED") >= 1
    assert states.count("COMPLETE") >= 4
    assert "FAIL" not in states
    assert all(set(trial.params) == {"lr", "hidden"} for trial in study.trials)
    assert sorted(study.best_trial.intermediate_values) == [1, 2, 3, 4]
    assert study.best_value == max(study.best_trial.intermediate_values.values()) > 0.5

    x, y = three_classes.validation.batch(torch.arange(len(three_classes.validation)))
    with torch.no_grad():
        accuracy = float((ours.module()(x).argmax(1) == y).float().mean())
    assert accuracy == pytest.approx(study.best_value)


def test_two_threads_come_to_the_values_of_one(three_classes: Data) -> None:
    class Noisy(nn.Module):
        """Draws from torch's global generator, as a hand-written DropPath does."""

        def __init__(self, size: int, outputs: int) -> None:
            super().__init__()
            self.layer = nn.Linear(size, outputs)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x * (torch.rand_like(x) > 0.3) if self.training else x)

    values = []
    for jobs in (1, 2):
        ours = objective(
            lambda shape, outputs: Noisy(shape[0], outputs), three_classes, space={"lr": Log(1e-4, 1)}, epochs=2
        )
        study = optuna.create_study(direction="maximize")
        for lr in (0.001, 0.01, 0.1, 0.5):
            study.enqueue_trial({"lr": lr})
        threads = torch.get_num_threads()
        draws = torch.get_rng_state()
        study.optimize(ours, n_trials=4, n_jobs=jobs)
        assert torch.get_num_threads() == threads
        assert torch.equal(torch.get_rng_state(), draws)
        values.append({trial.params["lr"]: trial.value for trial in study.trials})
    assert values[0] == values[1]
    assert len(set(values[0].values())) > 1


def test_numbers_are_to_be_minimized_and_a_study_that_maximizes_is_refused(numbers: Data) -> None:
    ours = objective("mlp", numbers, epochs=1)
    assert ours.direction == "minimize"
    with pytest.raises(SettingError, match=r"direction=objective\.direction"):
        optuna.create_study(direction="maximize").optimize(ours, n_trials=1)


def test_a_trial_whose_loss_is_not_finite_is_pruned_with_its_reason(numbers: Data) -> None:
    ours = objective("mlp", numbers, space={"lr": Log(1e30, 1e35)}, epochs=2, setting={"optimizer": "sgd"})
    study = optuna.create_study(direction=ours.direction)
    study.optimize(ours, n_trials=1)
    assert study.trials[0].state.name == "PRUNED"
    assert "not finite" in study.trials[0].user_attrs["reason"]
    with pytest.raises(SettingError, match="no trial has finished"):
        ours.module()


def test_names_that_mean_nothing_beside_an_optimizer_are_not_suggested(three_classes: Data) -> None:
    space: dict[str, Any] = {"optimizer": Choice(["torch.Rprop"]), "momentum": Uniform(0.5, 0.9), "lr": Log(1e-3, 1e-1)}
    ours = objective("mlp", three_classes, space=space, epochs=1)
    study = optuna.create_study(direction=ours.direction)
    study.optimize(ours, n_trials=1)
    assert study.trials[0].params.keys() == {"optimizer", "lr"}
    assert ours.settings_of(study.trials[0].params)[0].optimizer == "torch.Rprop"


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"epochs": 0}, SettingError, "epochs is 0"),
        ({"space": {"width": Log(1, 2)}}, SettingError, "'width' cannot be searched"),
        ({"setting": {"lr": -1}}, SettingError, "lr is -1"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(three_classes: Data, more: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        objective(mlp, three_classes, **more)


def test_data_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="data is int"):
        objective(mlp, 3)

"""Ravine's training as the objective of an Optuna study that a person runs: their sampler, their pruner, their storage.

    objective = ravine.search.objective("mlp", "digits", epochs=10)
    study = optuna.create_study(direction=objective.direction, pruner=optuna.pruners.MedianPruner())
    study.optimize(objective, n_trials=50)
    objective.module()  # the best of them, trained

`ravine.search` and `ravine tune` train many trials at once and stop the worse half together, which is faster. This is for a
study that is there already, or for what Ravine's own search does not do.
"""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
from torch import nn

from ravine.data import Data, from_arrays, load
from ravine.errors import DataError, SettingError
from ravine.models import Model, find_factory
from ravine.models.factory import factory_settings
from ravine.search.hyperparameters import SEARCHED, applying, check_names
from ravine.search.space import Choice, Distribution, Int, Log, Space
from ravine.training import Kept, Run, Setting, headline, rank

__all__ = ["Objective", "objective"]

USUAL: Mapping[str, Distribution] = {"lr": Log(1e-4, 3e-2), "weight_decay": Log(1e-4, 1.0)}
"""What is searched when nothing is said: AdamW's two numbers."""

FIRST = ("optimizer", "schedule")
"""Choices that decide which of the other names mean anything."""


def objective(
    make_model: str | Callable[..., nn.Module],
    data: Any,
    *,
    space: Space | None = None,
    epochs: int = 10,
    setting: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    target: str | None = None,
    seed: int = 0,
    device: str = "cpu",
) -> Objective:
    """A callable for `study.optimize`: trains one trial, reports after every epoch, and prunes where the study's pruner says so.

    make_model, data, target: as for `ravine.tune`. space: distributions by name, of a `Setting` or of the model's factory;
    `USUAL` when not given. setting: fields of a `Setting` that all trials share (batch_size, schedule, dropout, ...);
    settings: keywords of the factory likewise. seed: divides the data, and is each trial's where `setting` has none.

    Raises DataError, ModelError or SettingError, one line each, for what cannot be used.
    """
    if not isinstance(epochs, int) or epochs < 1:
        raise SettingError(f"epochs is {epochs!r}; it must be a whole number, 1 or more.")
    space = dict(USUAL if space is None else space)
    check_names(space, factory_settings(make_model))
    found = _data(data, target, seed)
    factory = find_factory(make_model) if isinstance(make_model, str) else make_model
    name = make_model if isinstance(make_model, str) else ""
    model = Model(name, factory, found.input_shape, found.outputs, dict(settings or {}))
    model.check()
    return Objective(found, model, space, epochs, Setting(**{"seed": seed, **(setting or {})}), device)


def _data(data: Any, target: str | None, seed: int) -> Data:
    if isinstance(data, Data):
        return data
    if isinstance(data, str | Path):
        return load(str(data), target=target, seed=seed)
    if isinstance(data, tuple) and len(data) == 2:
        return from_arrays(*data, seed=seed)
    raise DataError(
        f"data is {type(data).__name__}; it must be a path or a name, a pair of arrays (x, y), or a ravine.data.Data."
    )


class Objective:
    """What `objective` returns.

    Its value is the best validation accuracy of a trial's epochs, or its rmse in units of the target; `direction` is the one that
    the study needs. May be called from several threads (`n_jobs`): the values are those of one, for nothing that is drawn
    hangs on another trial. A trial whose loss is not finite is pruned, with its reason in `user_attrs`.
    """

    def __init__(self, data: Data, model: Model, space: Space, epochs: int, setting: Setting, device: str) -> None:
        self.data, self.model, self.space, self.epochs, self.device = data, model, space, epochs, device
        self.base = setting
        self.measured = "accuracy" if headline(data.task) == "accuracy" else "rmse"
        self.direction = "maximize" if self.measured == "accuracy" else "minimize"
        self.best: Kept | None = None  # of all trials so far
        self._turn = threading.Lock()  # torch's global generator is one for all threads: models are built in turn

    def __call__(self, trial: optuna.Trial) -> float:
        """Train the trial's setting; see `objective`."""
        if trial.study.direction.name.lower() != self.direction:
            raise SettingError(
                f"the study is to {trial.study.direction.name.lower()} and {self.measured} is to be {self.direction}d: write "
                "optuna.create_study(direction=objective.direction)."
            )
        setting, own = self.settings_of(self._suggested(trial))
        run = self._run(setting, own, trial.number)
        for epoch in range(1, self.epochs + 1):
            self._advance(run)
            (metrics,) = run.evaluate()
            trial.report(metrics[self.measured], epoch)
            if rank(metrics)[0] == -math.inf:
                trial.set_user_attr("reason", f"loss not finite in epoch {epoch}")
                raise optuna.TrialPruned
            if trial.should_prune():
                trial.set_user_attr("reason", f"pruned after epoch {epoch}")
                raise optuna.TrialPruned
        kept = run.best[trial.number]
        self._remember(kept)
        return kept.validation[self.measured]

    def settings_of(self, params: Mapping[str, Any]) -> tuple[Setting, dict[str, Any]]:
        """What a trial's params (`study.best_params`) come to: its Setting, and the keywords of its model."""
        given = {name: value for name, value in params.items() if name in SEARCHED}
        own = {name: value for name, value in params.items() if name not in SEARCHED}
        return dataclasses.replace(self.base, **given), {**self.model.settings, **own}

    def module(self) -> nn.Module:
        """The best model of all finished trials, with the weights of its best epoch. Raises SettingError where there is none."""
        if self.best is None:
            raise SettingError("no trial has finished yet: run study.optimize(objective, n_trials=...) first.")
        kept = self.best
        model = dataclasses.replace(self.model, settings=dict(kept.model_settings or {}))
        module = model.build(kept.setting.seed, dropout=kept.setting.dropout, depth=kept.setting.stochastic_depth)
        module.load_state_dict(kept.state)
        return module.eval()

    def _suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """The trial's values, those that decide which others mean anything first."""
        found = {name: _suggest(trial, name, self.space[name]) for name in FIRST if name in self.space}
        chosen = {"optimizer": self.base.optimizer, "schedule": self.base.schedule, **found}
        for name, d in applying(self.space, chosen).items():
            if name not in found:
                found[name] = _suggest(trial, name, d)
        return found

    def _run(self, setting: Setting, own: dict[str, Any], number: int) -> Run:
        model = dataclasses.replace(self.model, settings=own)
        per_epoch = max(1, len(self.data.train) // min(setting.batch_size, len(self.data.train)))
        with self._turn:
            return Run(self.data, model, [setting], steps=self.epochs * per_epoch, trials=[number], device=self.device)

    def _advance(self, run: Run) -> None:
        """An epoch. A model that draws from torch's global generator has it to itself."""
        with self._turn:
            run.advance(1)  # by which it shows whether it draws
        rest = run.steps_per_epoch - 1
        if run.population.draws:
            with self._turn:
                run.advance(rest)
        else:
            run.advance(rest)

    def _remember(self, kept: Kept) -> None:
        with self._turn:
            if self.best is None or rank(kept.validation) > rank(self.best.validation):
                self.best = kept


def _suggest(trial: optuna.Trial, name: str, d: Distribution) -> Any:
    if isinstance(d, Choice):
        return trial.suggest_categorical(name, d.options)
    if isinstance(d, Int):
        return trial.suggest_int(name, d.low, d.high, log=d.log)
    return trial.suggest_float(name, d.low, d.high, log=isinstance(d, Log))

"""Carrying trials out: in waves where memory is short, over several structures, and without those that fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data
from ravine.models.mlp import mlp
from ravine.recipe import trials as module
from ravine.recipe.folder import train_command
from ravine.recipe.handback import ranked
from ravine.recipe.session import Session, Silent
from ravine.recipe.trials import Search, carry_out, search_evidence
from ravine.search import Asked, Int, Log, Study
from ravine.training import History, Saver

Sit = Callable[..., Session]
RUNGS = (10, 20, 40)


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def told() -> Notes:
    return Notes()


def climbed(session: Session, params: list[dict[str, Any]], **more: Any) -> tuple[Search, Study, History]:
    """Trials of these parameters, carried out and told to a study."""
    study, history = Study(None, "classification", 0, ["adamw", "sgd"]), History()
    space = {"lr": Log(1e-5, 1.0), "hidden": Int(4, 2000)}
    asked = []
    for given in params:
        own = {"optimizer": "adamw", "lr": 0.01, **given}
        names = {name: space[name] for name in own if name in space}
        one = study.ask(own["optimizer"], names, "coarse", first=own)
        asked.append(Asked(one.number, own))
    fixed = {"schedule": "constant", "warmup": 0.0}
    found = carry_out(session, study, "coarse", {}, asked, history, RUNGS, fixed=fixed, every=RUNGS[-1], **more)
    return found, study, history


def test_all_trials_of_a_set_that_does_not_fit_are_trained_in_waves(three_classes: Data, sit: Sit, told: Notes) -> None:
    session = dataclasses.replace(sit(three_classes), watch=told)
    session.saver.decide("memory", 3 * session.trial_bytes)
    found, study, history = climbed(session, [{"lr": lr} for lr in (1e-3, 1e-2, 0.03, 0.1)] * 2)
    assert told.said == ["8 trials do not fit into memory together: they are trained in 3 waves."]
    assert sorted(found.outcomes) == sorted(found.kept) == list(range(8))
    top = [trial for trial, outcome in found.outcomes.items() if outcome.reason is None]
    assert [sum(trial in wave for trial in top) for wave in (range(2), range(2, 5), range(5, 8))] == [1, 1, 1]
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    best = max(kept.validation["accuracy"] for kept in found.kept.values())
    assert found.kept[found.ranked[0].number].validation["accuracy"] == best  # finalists of all waves are compared
    assert max(history.steps(7)["step"]) >= RUNGS[0]


def test_a_wave_is_the_same_as_its_trials_alone(three_classes: Data, sit: Sit) -> None:
    whole, short = sit(three_classes), sit(three_classes)
    params = [{"lr": lr} for lr in (1e-3, 1e-2, 0.03)]
    one, _, _ = climbed(whole, params)
    short.saver.decide("memory", 1)
    each, _, _ = climbed(short, params)
    assert all(outcome.reason is None for outcome in each.outcomes.values())  # nobody to be compared with
    winner = one.ranked[0].number
    for name, value in one.kept[winner].state.items():  # to rounding: it was stacked there
        torch.testing.assert_close(each.kept[winner].state[name], value, rtol=1e-4, atol=1e-5)


def test_memory_that_runs_out_while_a_wave_is_built_makes_it_two(
    three_classes: Data, sit: Sit, told: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, make = [], module.make_runs

    def tight(session: Session, asked: list[Asked], *more: Any, **named: Any) -> Any:
        made.append(len(asked))
        if len(asked) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return make(session, asked, *more, **named)

    monkeypatch.setattr(module, "make_runs", tight)
    session = dataclasses.replace(sit(three_classes), watch=told)
    found, _, _ = climbed(session, [{}] * 5)
    assert made == [5, 2, 3, 1, 2]
    assert sorted(found.outcomes) == list(range(5))
    assert told.said[0] == "out of memory while 5 trials were built: they are trained in two waves."


def test_a_model_too_large_for_the_machine_is_lost_alone(
    three_classes: Data, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = module.make_runs

    def tight(session: Session, asked: list[Asked], *more: Any, **named: Any) -> Any:
        if any(one.number == 1 for one in asked):
            raise MemoryError
        return make(session, asked, *more, **named)

    monkeypatch.setattr(module, "make_runs", tight)
    found, study, _ = climbed(sit(three_classes), [{}] * 3)
    assert {trial: outcome.reason for trial, outcome in found.outcomes.items() if outcome.failed} == {
        1: "out of memory"
    }
    assert [trial.state.name for trial in study.trials].count("FAIL") == 1


def test_models_of_several_widths_are_searched_and_the_winner_is_built_again(three_classes: Data, sit: Sit) -> None:
    session = sit(three_classes)
    found, _, _ = climbed(
        session, [{"hidden": 8, "lr": 0.1}, {"hidden": 12, "lr": 0.1}, {"hidden": 8, "lr": 1e-5}, {"lr": 1e-5}]
    )
    winner = found.kept[found.ranked[0].number]
    hidden = winner.model_settings["hidden"]  # type: ignore[index]
    assert {t: kept.model_settings["hidden"] for t, kept in found.kept.items()} == {0: 8, 1: 12, 2: 8, 3: (16,)}  # type: ignore[index]
    assert search_evidence(found)["best"]["hyperparameters"]["hidden"] == hidden
    assert session.hyperparameters(found.kept[0])["hidden"] == 8
    assert "hidden" not in session.hyperparameters(found.kept[3])
    modules = {one.kept.trial: one.module for one in ranked(session, list(found.kept.values()))}
    assert modules[1][1].out_features == 12  # type: ignore[index]
    command = train_command(
        three_classes, session.model_with(found.kept[0].model_settings), found.kept[0].setting, epochs=1, source={}
    )
    assert command.count("--set") == 1
    assert "--set hidden=8" in command


class Stopping(Silent):
    """Somebody who presses Ctrl-C when told for the `patience`-th time how far a search is."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def advance(self, share: float, text: str = "") -> None:  # noqa: ARG002
        self.patience -= 1
        if not self.patience:
            raise KeyboardInterrupt


@pytest.mark.parametrize("patience", [2, 6, 10])
def test_waves_that_were_cut_short_go_on_as_if_nothing_had_happened(
    three_classes: Data, sit: Sit, tmp_path: Path, patience: int
) -> None:
    """Each wave takes four turns of ten steps: stopped in the first, the second, the third."""
    params = [{"lr": lr} for lr in (1e-3, 1e-2, 0.03, 0.1, 0.02, 0.05)]

    def session(folder: Path | None, **more: Any) -> Session:
        made = dataclasses.replace(sit(three_classes), saver=Saver(folder), engine="one by one", **more)
        made.saver.decided("memory", lambda: 2 * made.trial_bytes)
        return made

    whole, _, history = climbed(session(None), params)
    with pytest.raises(KeyboardInterrupt):
        climbed(session(tmp_path, watch=Stopping(patience)), params)
    again, _, told_again = climbed(session(tmp_path), params)
    assert again.outcomes == whole.outcomes
    for trial, kept in whole.kept.items():
        assert kept.validation == again.kept[trial].validation
        assert all(torch.equal(value, again.kept[trial].state[name]) for name, value in kept.state.items())
    assert told_again.epochs() == history.epochs()
    assert told_again.steps(5) == history.steps(5)


class Touchy(nn.Module):
    """Refuses to train at a high dropout rate, from its second forward on."""

    def __init__(self, shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.body, self.forwards = mlp(shape, outputs, hidden=8, dropout=0.1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += self.training
        if self.forwards > 12 and float(self.body[3].p) > 0.4:  # type: ignore[index]
            raise ValueError("dropout too high for me")
        return self.body(x)  # type: ignore[no-any-return]


def touchy(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Touchy(shape, outputs)


def test_a_trial_that_raises_is_recorded_with_its_reason(three_classes: Data, sit: Sit, told: Notes) -> None:
    session = dataclasses.replace(sit(three_classes, touchy), watch=told)
    found, study, _ = climbed(session, [{"dropout": rate} for rate in (0.1, 0.45, 0.2)])
    row = study.trials[1]
    assert (row.state.name, row.user_attrs["reason"]) == ("FAIL", "raised ValueError: dropout too high for me")
    assert found.outcomes[1].failed
    assert {one.number for one in found.ranked} == {0, 2}
    evidence = search_evidence(found)
    assert (evidence["failed"], evidence["diverged"], evidence["trials"]) == (1, 0, 3)
    assert any(said.startswith("trial 1 ended at step ") for said in told.said)

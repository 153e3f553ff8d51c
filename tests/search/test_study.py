"""The study: a standard Optuna study that its own tools open, with states, values and reasons as they were."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from ravine.search import STUDY_NAME, Asked, Choice, Log, Study, Uniform

SPACE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5), "momentum": Choice([0.0, 0.9])}


def opened(folder: Path) -> optuna.Study:
    """As anybody would open it, knowing nothing of Ravine."""
    return optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{folder / 'study.db'}")


def ask_all(study: Study, count: int = 4) -> list[Asked]:
    return [study.ask("adamw", SPACE, "coarse") for _ in range(count)]


def test_how_trials_ended_is_read_back_by_optuna_itself(tmp_path: Path) -> None:
    study = Study(tmp_path, "classification", 0, ["sgd", "adamw"])
    done, dropped, lost = ask_all(study, 3)
    for step, value in ((10, 0.5), (20, 0.75)):
        study.report(done.number, step, {"accuracy": value, "nll": 1.0})
    study.report(dropped.number, 10, {"accuracy": 0.25, "nll": 2.0})
    study.tell(done.number, {"accuracy": 0.75, "nll": 1.0}, epochs=3)
    study.tell(dropped.number, {"accuracy": 0.25, "nll": 2.0}, epochs=1, reason="behind at step 10")
    study.tell(lost.number, None, epochs=1, reason="loss not finite by step 10")

    found = opened(tmp_path)
    assert found.direction.name == "MAXIMIZE"
    assert [t.state for t in found.trials] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]
    assert found.trials[0].value == 0.75
    assert found.trials[0].intermediate_values == {10: 0.5, 20: 0.75}
    assert found.trials[0].user_attrs == {"phase": "coarse", "epochs": 3}
    assert found.trials[1].user_attrs["reason"] == "behind at step 10"
    assert found.trials[2].user_attrs == {"phase": "coarse", "epochs": 1, "reason": "loss not finite by step 10"}
    assert found.best_trial.number == done.number


def test_the_values_drawn_lie_in_the_space_and_are_what_the_study_recorded(tmp_path: Path) -> None:
    study = Study(tmp_path, "classification", 0, ["adamw"])
    asked = ask_all(study, 20)
    for one, recorded in zip(asked, opened(tmp_path).trials, strict=True):
        assert one.params == recorded.params
        assert one.params["optimizer"] == "adamw"
        assert 1e-4 <= one.params["lr"] <= 1e-1
        assert 0 <= one.params["dropout"] <= 0.5
        assert one.params["momentum"] in (0.0, 0.9)
    middle = sorted(one.params["lr"] for one in asked)[10]
    assert middle < 2e-2  # on a linear scale half would lie above 0.05


def test_regression_minimizes_rmse_in_units_of_the_target() -> None:
    study = Study(None, "regression", 0, ["adamw"])
    worse, better = ask_all(study, 2)
    study.report(worse.number, 5, {"rmse": 60.0, "r2": 0.3})
    study.tell(worse.number, {"rmse": 60.0, "r2": 0.3}, epochs=1)
    study.tell(better.number, {"rmse": 55.0, "r2": 0.4}, epochs=1)
    assert [t.value for t in study.trials] == [60.0, 55.0]
    assert study.trials[0].intermediate_values == {5: 60.0}
    assert study._study.best_trial.number == better.number


def test_the_same_seed_gives_the_same_draws_and_another_seed_others() -> None:
    draws = [[dict(a.params) for a in ask_all(Study(None, "classification", seed, ["adamw"]))] for seed in (3, 3, 4)]
    assert draws[0] == draws[1]
    assert draws[0] != draws[2]


def test_seeds_of_any_size_are_taken() -> None:
    ask_all(Study(None, "classification", 2**40 + 5, ["adamw"]))


def test_a_winner_of_another_phase_runs_again_though_it_lies_outside_the_space() -> None:
    study = Study(None, "classification", 0, ["adamw", "sgd"])
    again = study.ask("sgd", SPACE, "refine", first={"optimizer": "sgd", "lr": 0.7, "dropout": 0.1, "momentum": 0.9})
    assert again.params == {"optimizer": "sgd", "lr": 0.7, "dropout": 0.1, "momentum": 0.9}
    assert study.ask("sgd", SPACE, "refine").params["lr"] <= 1e-1


def test_a_trial_that_is_told_twice_is_our_own_mistake() -> None:
    study = Study(None, "classification", 0, ["adamw"])
    (one,) = ask_all(study, 1)
    study.tell(one.number, {"accuracy": 1.0, "nll": 0.0}, epochs=1)
    with pytest.raises(KeyError):
        study.tell(one.number, {"accuracy": 1.0, "nll": 0.0}, epochs=1)


def test_a_closed_study_is_one_file(tmp_path: Path) -> None:
    study = Study(tmp_path, "classification", 0, ["adamw"])
    (asked,) = ask_all(study, 1)
    study.tell(asked.number, {"accuracy": 0.5, "nll": 1.0}, epochs=1)
    assert (tmp_path / "study.db-wal").exists()
    study.close()
    assert opened(tmp_path).best_value == 0.5
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]


def test_a_folder_with_signs_of_a_url_in_its_name_holds_the_study(tmp_path: Path) -> None:
    folder = tmp_path / "what? #1 100%41"
    folder.mkdir()
    Study(folder, "classification", 0, ["adamw"]).close()
    assert [path.name for path in folder.iterdir()] == ["study.db"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]

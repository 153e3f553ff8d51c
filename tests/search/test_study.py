"""The study: a standard Optuna study that its own tools open, with states, values and reasons as they were."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from ravine.errors import FolderError
from ravine.search import SAMPLERS, STUDY_NAME, Asked, Choice, Int, Log, Study, Uniform

SPACE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5), "crop": Choice([0, 2]), "hidden": Int(8, 64, log=True)}


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
        assert one.params["crop"] in (0, 2)
        assert 8 <= one.params["hidden"] <= 64
        assert isinstance(one.params["hidden"], int)
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
    winner = {"optimizer": "sgd", "lr": 0.7, "dropout": 0, "crop": 2, "hidden": 100}
    again = study.ask("sgd", SPACE, "refine", first=winner)
    assert again.params == winner
    assert study.trials[0].user_attrs == {"phase": "refine", "given": True}
    assert study.ask("sgd", SPACE, "refine").params["lr"] <= 1e-1


def test_what_is_not_given_is_drawn_as_it_would_have_been() -> None:
    whole = Study(None, "classification", 0, ["sgd"]).ask("sgd", SPACE, "coarse").params
    study = Study(None, "classification", 0, ["sgd"])
    part = study.ask("sgd", SPACE, "coarse", structure={"hidden": 9}).params
    assert part == {**whole, "hidden": 9}
    assert "given" not in study.trials[0].user_attrs  # a structure is dealt at random


def test_what_does_not_apply_to_a_trial_is_not_drawn_for_it() -> None:
    space = {"momentum": Uniform(0.8, 0.9), "schedule": Choice(["cosine", "warm_restarts"]), "cycles": Int(1, 3)}
    study = Study(None, "classification", 0, ["adamw", "sgd"])
    asked = [study.ask(("adamw", "sgd")[i % 2], space, "coarse").params for i in range(20)]
    assert all(("momentum" in p) == (p["optimizer"] == "sgd") for p in asked)
    assert all(("cycles" in p) == (p["schedule"] == "warm_restarts") for p in asked)
    assert {p["schedule"] for p in asked} == {"cosine", "warm_restarts"}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_batch_from_any_sampler_differs_from_trial_to_trial_and_stays_in_the_space(sampler: str) -> None:
    study = Study(None, "regression", 0, ["adamw", "sgd"], sampler=sampler, trials=16)
    for count in (24, 4):  # what learns has something to learn from in the second batch
        batch = [study.ask(("adamw", "sgd")[i % 2], SPACE, "coarse") for i in range(count)]
        for a in batch:
            study.tell(a.number, {"rmse": a.params["lr"], "r2": 0.0}, epochs=1)
    assert all(1e-4 <= t.params["lr"] <= 1e-1 and 8 <= t.params["hidden"] <= 64 for t in study.trials)
    assert len({tuple(sorted(t.params.items())) for t in study.trials}) == 28


def rows(folder: Path) -> list[tuple[Any, ...]]:
    """All that the file says of the trials, but for when."""
    return [
        (t.number, t.state, t.params, t.distributions, t.values, t.intermediate_values, t.user_attrs, t.system_attrs)
        for t in opened(folder).trials
    ]


def test_a_search_killed_at_any_moment_and_told_again_leaves_the_rows_of_one_never_stopped(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    script = Path(__file__).with_name("killed_search.py")
    words = [sys.executable, str(script), str(whole), str(broken), "8", "0"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert int(done.stdout) >= 5
    assert rows(broken) == rows(whole)
    counts = []
    for folder in (whole, broken):
        with sqlite3.connect(folder / "study.db") as file:
            tables = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            counts.append({name: file.execute(f"SELECT COUNT(*) FROM {name}").fetchone() for name in tables})  # noqa: S608
        file.close()
    assert counts[0] == counts[1]  # and nothing stands there twice
    assert len(rows(whole)) == 44
    assert {state.name for _, state, *_ in rows(whole)} == {"COMPLETE", "PRUNED", "FAIL"}


def test_a_search_told_again_is_answered_from_the_file_and_writes_what_is_missing(tmp_path: Path) -> None:
    first = Study(tmp_path, "classification", 0, ["adamw"])
    asked = ask_all(first, 3)
    first.report(0, 10, {"accuracy": 0.5, "nll": 1.0})
    first.tell(0, {"accuracy": 0.5, "nll": 1.0}, epochs=1, reason="behind at step 10")
    first.close()
    again = Study(tmp_path, "classification", 0, ["adamw"], resume=True)
    assert [a.params for a in ask_all(again, 4)][:3] == [a.params for a in asked]
    assert again.ask("adamw", SPACE, "coarse", number=1).params == asked[1].params
    again.report(0, 10, {"accuracy": 0.5, "nll": 1.0})
    again.tell(0, {"accuracy": 0.5, "nll": 1.0}, epochs=1, reason="behind at step 10")
    again.tell(1, {"accuracy": 0.6, "nll": 1.0}, epochs=2)
    again.close()
    assert [t.state.name for t in opened(tmp_path).trials] == ["PRUNED", "COMPLETE", "RUNNING", "RUNNING"]
    assert opened(tmp_path).trials[0].value == 0.5


@pytest.mark.parametrize(
    ("accuracy", "epochs", "reason"), [(0.6, 1, None), (0.5, 2, None), (0.5, 1, "behind at step 10"), (None, 1, None)]
)
def test_an_end_that_differs_from_the_one_in_the_file_is_refused(
    tmp_path: Path, accuracy: float | None, epochs: int, reason: str | None
) -> None:
    study = Study(tmp_path, "classification", 0, ["adamw"])
    (one,) = ask_all(study, 1)
    study.tell(one.number, {"accuracy": 0.5, "nll": 1.0}, epochs=1)
    study.tell(one.number, {"accuracy": 0.5, "nll": 2.0}, epochs=1)
    metrics = None if accuracy is None else {"accuracy": accuracy, "nll": 1.0}
    with pytest.raises(FolderError, match=r"study.db is damaged or of another search \(trial 0 ended as complete"):
        study.tell(one.number, metrics, epochs=epochs, reason=reason)


def test_trials_that_are_not_those_of_the_file_are_refused(tmp_path: Path) -> None:
    study = Study(tmp_path, "classification", 0, ["adamw", "sgd"])
    study.ask("adamw", SPACE, "coarse")
    study.tell(0, {"accuracy": 0.5, "nll": 1.0}, epochs=1)
    study.close()
    again = Study(tmp_path, "classification", 0, ["adamw", "sgd"], resume=True)
    with pytest.raises(FolderError, match=r"trial 0 is one of \('coarse', 'adamw'\), not of \('coarse', 'sgd'\)"):
        again.ask("sgd", SPACE, "coarse")
    with pytest.raises(FolderError, match="trial 2 is asked for, and it holds 1"):
        again.ask("adamw", SPACE, "coarse", number=2)
    with pytest.raises(FolderError, match="trial 0 ended without its value at step 7"):
        again.report(0, 7, {"accuracy": 0.5, "nll": 1.0})


def test_a_study_that_stands_there_is_refused_unless_it_is_resumed_as_it_was(tmp_path: Path) -> None:
    Study(tmp_path, "classification", 0, ["adamw"]).close()
    with pytest.raises(FolderError, match="exists already: resume that search"):
        Study(tmp_path, "classification", 0, ["adamw"])
    with pytest.raises(FolderError, match="is a search with seed 0, and 1 is asked for"):
        Study(tmp_path, "classification", 1, ["adamw"], resume=True)
    with pytest.raises(FolderError, match="is a search with sampler 'random', and 'tpe' is asked for"):
        Study(tmp_path, "classification", 0, ["adamw"], sampler="tpe", resume=True)
    with pytest.raises(FolderError, match="is a search with measured 'accuracy', and 'rmse' is asked for"):
        Study(tmp_path, "regression", 0, ["adamw"], resume=True)
    Study(tmp_path, "classification", 0, ["adamw"], resume=True).close()


def test_a_file_that_is_no_study_is_named_damaged(tmp_path: Path) -> None:
    (tmp_path / "study.db").write_text("not a database, though it is long enough to look like one" * 100)
    with pytest.raises(FolderError, match=r"study.db is damaged \(file is not a database\)"):
        Study(tmp_path, "classification", 0, ["adamw"], resume=True)


def test_a_stopped_trial_has_the_value_it_reported_last_as_optuna_has_it(tmp_path: Path) -> None:
    study = Study(tmp_path, "classification", 0, ["adamw"])
    for a, values in zip(ask_all(study, 3), ([0.5, 0.25], [0.5, float("nan")], []), strict=True):
        for step, value in enumerate(values):
            study.report(a.number, step, {"accuracy": value, "nll": 1.0})
        study.tell(a.number, {"accuracy": 0.75, "nll": 1.0}, epochs=1, reason="behind")
    assert [t.value for t in opened(tmp_path).trials] == [0.25, None, None]


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


@pytest.mark.parametrize("sampler", ["random", "grid", "tpe"])
def test_a_later_phase_may_draw_from_a_part_of_the_options_and_learns_from_its_own_trials(sampler: str) -> None:
    def refined(good: str) -> list[Any]:
        study = Study(None, "classification", 3, ["adamw"], sampler=sampler)
        for _ in range(4):
            study.ask("adamw", {"shape": Choice(["a", "b", "c"]), "lr": Log(1e-4, 1)}, "coarse")
        asked = []
        for _ in range(14):
            one = study.ask("adamw", {"shape": Choice(["c", "b"]), "lr": Log(1e-3, 1)}, "refine")
            study.tell(one.number, {"accuracy": float(one.params["shape"] == good), "nll": 1.0}, epochs=1)
            asked.append(one.params["shape"])
        assert all(t.distributions["shape"].choices == ("a", "b", "c") for t in study.trials)  # Optuna knows one list
        assert set(asked) == {"b", "c"}
        return asked

    assert (refined("b") != refined("c")) == (sampler == "tpe")

"""Every command walked once on real data, its JSON and its folder read as somebody else's program would."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_diabetes, load_digits
from tests.cli.conftest import Ravine

import ravine as package
from ravine.data import load as load_data
from ravine.recipe.verdict import STEPS

SOFTMAX = """
from torch import nn
def net(input_shape, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, outputs), nn.Softmax(dim=-1))
"""
OWN = """
from torch import nn
def net(input_shape, outputs, width=16):
    features = 1
    for side in input_shape:
        features *= side
    return nn.Sequential(nn.Flatten(), nn.Linear(features, width), nn.Tanh(), nn.Linear(width, outputs))
"""


def record(folder: Path, name: str) -> Any:
    return json.loads((folder / name).read_text())


def test_tune_answers_with_one_json_object_of_the_agreed_fields(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    answer = ravine(
        *[
            "tune",
            "--data",
            "digits",
            "--model",
            "own.py:net",
            "--set",
            "width=24",
            "--budget",
            "12s",
            "--out",
            "run",
            "--json",
        ]
    )
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert told.keys() == {"steps", "findings", "best", "ensemble", "gain", "trials", "seconds", "out"}
    assert [step["step"] for step in told["steps"]] == list(STEPS)
    for step in told["steps"]:
        assert step.keys() >= {"step", "status", "evidence", "advice"}
        assert step["status"] in ("pass", "warn", "fail")
        assert isinstance(step["evidence"], dict)
        assert isinstance(step["advice"], list)
    for part in (told["best"], told["ensemble"]):
        for split in ("validation", "test"):
            measured = {"accuracy", "nll", "ece", "brier", "calibrated_nll", "calibrated_ece"}
            assert part[split].keys() == measured
    assert told["best"]["hyperparameters"]["optimizer"] in ("adamw", "sgd")
    assert 1 <= told["ensemble"]["size"] <= 5
    assert told["best"]["test"]["accuracy"] > 0.8
    assert told == record(tmp_path / "run", "result.json")


def test_the_folder_holds_the_whole_truth(tuned: Path) -> None:
    names = {path.relative_to(tuned).as_posix() for path in tuned.rglob("*") if path.is_file()}
    assert {f"steps/{n}-{step}.json" for n, step in enumerate(STEPS, 1)} <= names
    assert {"config.json", "study.db", "result.json", "report.html", "history/steps.parquet"} <= names
    assert {"history/epochs.parquet", "best/model.safetensors", "best/model.json", "ensemble.json"} <= names
    odd = {Path(name).suffix for name in names} - {".json", ".db", ".parquet", ".safetensors", ".html"}
    assert not odd, "every file is of an open format"


def test_the_study_is_a_standard_one_with_every_trial(tuned: Path) -> None:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{tuned / 'study.db'}")
    result = record(tuned, "result.json")
    assert len(study.trials) == result["trials"]
    assert all(trial.state.is_finished() for trial in study.trials)
    assert study.trials[result["best"]["trial"]].params["lr"] == result["best"]["hyperparameters"]["lr"]
    assert any(trial.intermediate_values for trial in study.trials)


def rows_of_the_test_split(seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which of scikit-learn's digits the test split holds, found again by their pixels, and their labels."""
    data, whole = load_data("digits", seed=seed), load_digits()
    place = {row.numpy().tobytes(): i for i, row in enumerate(data.preprocessing.to_tensor(whole.images))}
    x, _ = data.test.batch(torch.arange(len(data.test)))
    rows = np.array([place[row.numpy().tobytes()] for row in x])
    return rows, whole.target[rows]


def test_the_loaded_model_reaches_on_raw_digits_what_the_result_says(tuned: Path) -> None:
    result, model = record(tuned, "result.json"), package.load(tuned)
    rows, labels = rows_of_the_test_split(seed=1)
    right = model.predict(load_digits().images[rows]) == labels.astype(str)
    assert right.mean() == pytest.approx(result["best"]["test"]["accuracy"], abs=1e-6)
    shares = package.load(tuned, ensemble=True).predict_proba(load_digits().images[rows])
    assert (shares.argmax(1) == labels).mean() == pytest.approx(result["ensemble"]["test"]["accuracy"], abs=1e-6)
    nll = -np.log(shares[np.arange(len(labels)), labels]).mean()
    assert nll == pytest.approx(result["ensemble"]["test"]["nll"], rel=1e-4)


def test_evaluate_says_again_what_the_run_recorded(ravine: Ravine, tuned: Path) -> None:
    answer = ravine("evaluate", tuned, "--json")
    result = record(tuned, "result.json")
    told = json.loads(answer.out)
    kind = result["ensemble"]["kind"]
    assert list(told) == ["best", kind, "mc_dropout"]
    assert told["best"] == result["best"]["test"]
    assert told[kind] == result["ensemble"]["test"]
    assert "accuracy" in ravine("evaluate", tuned).out


def test_check_finds_the_softmax_before_the_loss(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(SOFTMAX)
    answer = ravine("check", "--data", "digits", "--model", "nets.py:net", "--out", "run", "--json")
    assert answer.status == 1
    steps = json.loads(answer.out)["steps"]
    assert [step["step"] for step in steps] == ["initial-loss", "overfit"]
    assert "with 100.0 % accuracy: its outputs are probabilities already" in steps[1]["summary"]  # learnt, and wrong
    assert "Take the softmax" in steps[1]["advice"][0]
    found = json.loads(answer.out)["findings"]
    assert found[0]["fault"] == steps[1]["evidence"]["fault"] == "softmax-before-loss"
    assert found[0]["confidence"] > 0.9
    assert record(tmp_path / "run", "diagnosis.json")["findings"] == found
    assert 'id="diagnosis"' in (tmp_path / "run" / "report.html").read_text()


def test_check_says_in_words_what_it_found(ravine: Ravine, tmp_path: Path, table: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def net(shape, outputs):\n"
        "    return torch.nn.Sequential(torch.nn.Linear(shape[0], 16), torch.nn.Linear(16, outputs), torch.nn.Softmax(1))\n"
    )
    words = ["check", "--data", table, "--target", "kind", "--epochs", "3"]
    answer = ravine(*words, "--model", "nets.py:net", "--out", "soft")
    assert answer.status == 1
    assert "alarm softmax-before-loss" in answer.out
    answer = ravine(*words[:-2], "--set", "hidden=16", "--out", "good")
    assert (answer.status, "no fault was found" in answer.out) == (0, True), answer.out


def test_a_walk_that_a_step_has_stopped_says_which_fault_it_is(ravine: Ravine, tmp_path: Path, table: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "def net(shape, outputs):\n"
        "    model = torch.nn.Sequential(torch.nn.Linear(shape[0], 16), torch.nn.ReLU(), torch.nn.Linear(16, outputs))\n"
        "    torch.nn.init.constant_(model[0].bias, -50.0)\n"
        "    return model\n"
    )
    words = ["tune", "--data", table, "--target", "kind", "--model", "nets.py:net"]
    answer = ravine(*words, "--out", "run")
    assert answer.status == 1
    assert "alarm dead-units" in answer.out
    assert record(tmp_path / "run", "result.json")["findings"][0]["fault"] == "dead-units"


def test_a_training_that_learnt_nothing_has_failed_and_its_rate_is_named(ravine: Ravine, tmp_path: Path) -> None:
    words = ["train", "--data", "digits", "--optimizer", "sgd", "--lr", "1e4", "--epochs", "2", "--set", "hidden=16"]
    answer = ravine(*words, "--out", "run")
    assert answer.status == 1
    assert "no epoch is better than guessing" in answer.err
    assert "alarm lr-too-high" in answer.out
    assert 'id="diagnosis"' in (tmp_path / "run" / "report.html").read_text()


def test_check_refuses_what_cannot_be_trained_in_one_line(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n"
        "class Few(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n        self.layer = nn.Linear(64, 10)\n"
        "    def forward(self, x):\n"
        "        assert len(x) <= 100, 'too many rows'\n"
        "        return self.layer(x.flatten(1))\n"
        "def net(shape, outputs):\n    return Few()\n"
    )
    answer = ravine("check", "--data", "digits", "--model", "nets.py:net", "--out", "run")
    assert (answer.status, answer.err.count("Traceback")) == (2, 0)
    assert "too many rows" in answer.err.splitlines()[-1]
    for words, said in (
        (["--optimizer", "adm"], "did you mean adam"),
        (["--lr", "-1"], "lr is -1"),
        (["--epochs", "0"], "epochs is 0"),
    ):
        answer = ravine("check", "--data", "digits", *words, "--out", "run")
        assert (answer.status, said in answer.err) == (2, True)


def test_a_failed_step_stops_tune_unless_told_to_keep_going(ravine: Ravine, tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(SOFTMAX)
    words = ["tune", "--data", "digits", "--model", "nets.py:net", "--budget", "10s", "--json"]
    answer = ravine(*words, "--out", "stopped")
    assert answer.status == 1
    told = json.loads(answer.out)
    assert (told["best"], told["ensemble"], len(told["steps"])) == (None, None, 2)
    answer = ravine(*words, "--out", "whole", "--keep-going")
    assert answer.status == 0
    assert len(json.loads(answer.out)["steps"]) == 6


def test_lr_range_names_a_range_with_its_doubt(ravine: Ravine, table: Path) -> None:
    answer = ravine("lr-range", "--data", table, "--target", "kind", "--optimizer", "sgd", "--budget", "5s", "--json")
    assert answer.status == 0, answer.err
    (step,) = json.loads(answer.out)["steps"]
    found = step["evidence"]["optimizers"]["sgd"]
    assert 1e-6 <= found["low"] <= found["best"] <= found["high"] <= 10
    assert found["uncertainty_decades"] > 0
    assert found["seeds"] >= 2


def test_the_command_of_a_result_trains_to_the_same_model(ravine: Ravine, table: Path) -> None:
    words = ["--data", table, "--target", "kind", "--set", "hidden=8", "--seed", "4", "--space", "lr=log(1e-3,0.03)"]
    told = json.loads(ravine("tune", *words, "--budget", "10s", "--out", "run", "--json").out)
    again = shlex.split(told["best"]["command"])
    assert again[:2] == ["ravine", "train"]
    answer = ravine(*again[1:], "--json")
    assert answer.status == 0, answer.err
    best = json.loads(answer.out)["best"]
    assert best["hyperparameters"] == told["best"]["hyperparameters"]
    first, second = (record(Path(out), "config.json")["data"] for out in ("run", "runs/again"))
    assert first["fingerprint"] == second["fingerprint"]
    assert best["validation"]["accuracy"] >= told["best"]["validation"]["accuracy"] - 0.05  # stacked: equal to rounding


def test_a_table_of_numbers_to_predict_comes_back_in_its_own_units(ravine: Ravine, tmp_path: Path) -> None:
    frame = load_diabetes(as_frame=True).frame
    frame.iloc[:342].to_csv(tmp_path / "diabetes.csv", index=False)
    frame.iloc[342:].to_csv(tmp_path / "later.csv", index=False)
    words = "tune --data diabetes.csv --target target --test later.csv --set hidden=16 --budget 12s --out run --json"
    answer = ravine(*words.split())
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert told["best"]["test"].keys() == {"rmse", "r2"}
    assert told["best"]["test"]["rmse"] < 70  # the target has a standard deviation of 77
    predicted = package.load("run").predict("later.csv")
    rmse = math.sqrt(float(np.mean((predicted - frame["target"].iloc[342:].to_numpy()) ** 2)))
    assert rmse == pytest.approx(told["best"]["test"]["rmse"], rel=1e-4)
    again = json.loads(ravine("evaluate", "run", "--data", "later.csv", "--json").out)
    assert again["best"] == pytest.approx(told["best"]["test"], rel=1e-5)
    assert again[told["ensemble"]["kind"]] == pytest.approx(told["ensemble"]["test"], rel=1e-5)


def test_missing_cells_are_filled_and_said_to_be(ravine: Ravine, table: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(table)
    frame.loc[[3, 40, 41], "sepal"] = np.nan
    frame.to_csv(tmp_path / "holes.csv", index=False)
    answer = ravine(*["train", "--data", "holes.csv", "--target", "kind", "--epochs", "1", "--out", "run"])
    assert answer.status == 0, answer.err
    note = "sepal: 3 missing cells filled with the training median"
    assert any(note in said for said in record(tmp_path / "run", "config.json")["data"]["notes"])
    assert note in answer.err


def test_train_prints_a_table_and_the_way_to_its_report(ravine: Ravine, table: Path) -> None:
    answer = ravine("train", "--data", table, "--target", "kind", "--epochs", "2", "--out", "run", "--set", "hidden=8")
    assert answer.status == 0, answer.err
    assert re.search(r"best model", answer.out)
    assert "report: run/report.html" in answer.out
    assert Path("run/report.html").stat().st_size > 1_000_000


def test_tensorboard_files_are_written_while_training(ravine: Ravine, table: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    words = ("train", "--data", table, "--target", "kind", "--epochs", "3", "--out", "run", "--tensorboard")
    assert ravine(*words).status == 0
    (folder,) = {path.parent for path in Path("run/tensorboard").rglob("events.*")}
    events = EventAccumulator(str(folder))
    events.Reload()
    assert len(events.Scalars("validation/loss")) == 3


def test_report_is_written_again_from_the_records(ravine: Ravine, tuned: Path, tmp_path: Path) -> None:
    shutil.copytree(tuned, tmp_path / "copy")
    (tmp_path / "copy" / "report.html").unlink()
    answer = ravine("report", "copy")
    assert (answer.status, answer.out.strip()) == (0, "copy/report.html")
    assert (tmp_path / "copy" / "report.html").exists()


def test_progress_goes_to_standard_error_alone(ravine: Ravine, table: Path) -> None:
    answer = ravine("check", "--data", table, "--target", "kind", "--out", "run", "--json")
    json.loads(answer.out)
    assert "pass initial-loss" in answer.err


def test_a_budget_is_kept(process: Ravine) -> None:
    answer = process(*["tune", "--data", "digits", "--set", "hidden=16", "--budget", "12s", "--out", "run", "--json"])
    assert answer.status == 0, answer.err
    assert json.loads(answer.out)["seconds"] < 18  # half as much again, for machines that others use too

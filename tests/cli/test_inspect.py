"""`ravine inspect DIR` and `ravine tune --inspect`: the table, the JSON, the section, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch
from tests.cli.conftest import Ravine

import ravine as package
from ravine.errors import SettingError


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A small finished run of sgd, an ensemble of two in it; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "flowers"
    package.train(
        "mlp",
        str(table),
        target="kind",
        epochs=3,
        settings={"hidden": [4]},
        setting={"optimizer": "sgd", "lr": 0.02},
        ensemble="independent",
        size=2,
        out=out,
    )
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_tune_with_inspect_measures_within_its_budget_and_inspect_does_it_again(
    ravine: Ravine, table: Path, tmp_path: Path
) -> None:
    words = ["--data", table, "--target", "kind", "--set", "hidden=4", "--out", "run"]
    answer = ravine("tune", *words, "--budget", "6s", "--inspect", "--json")
    assert answer.status == 0, answer.err
    assert "note curvature on 77 examples" in answer.err
    assert json.loads(answer.out)["seconds"] < 12  # twice as much, for machines that others use too
    first = json.loads((tmp_path / "run" / "inspection.json").read_text())
    assert '<section class="card" id="curvature">' in Path("run/report.html").read_text()
    answer = ravine("inspect", "run", "--json", "--momentum", "0.5", "--lr", "0.1")
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert told == json.loads((tmp_path / "run" / "inspection.json").read_text())
    assert told["trial"] == first["trial"]
    assert told["curvature"]["top"][0]["eigenvalue"] == pytest.approx(
        first["curvature"]["top"][0]["eigenvalue"], rel=0.02
    )
    assert told["curvature"]["max_lr"] == pytest.approx(2 / told["curvature"]["top"][0]["eigenvalue"])
    assert set(told["curvature"]["max_lr_momentum"]) == {"0.5", "0.9"}
    assert (told["curvature"]["lr"], told["curvature"]["lr_given"]) == (0.1, True)


def test_the_loss_is_that_of_the_trained_model_on_its_training_rows(ravine: Ravine, run: Path, table: Path) -> None:
    told = json.loads(ravine("inspect", run, "--json").out)
    rows = package.data.load(str(table), target="kind").train
    assert (told["of"], told["curvature"]["examples"]) == (len(rows), len(rows))
    x, y = rows.batch(torch.arange(len(rows)))
    with torch.no_grad():
        loss = float(torch.nn.functional.cross_entropy(package.load(run).module(x), y))
    assert told["curvature"]["loss"] == pytest.approx(loss, rel=1e-5)
    assert told["slices"]["between"]["losses"][5] == pytest.approx(told["curvature"]["loss"], rel=1e-5)


def test_a_person_is_told_the_limits_the_sample_and_where_the_report_is(ravine: Ravine, run: Path) -> None:
    answer = ravine("inspect", run, "--examples", "40")
    assert answer.status == 0, answer.err
    told = " ".join(answer.out.replace("│", " ").split())
    assert "a fixed sample of 40 of the 77 examples of the train split" in told
    assert "plain descent stable below" in told
    assert re.search(r"sgd with Nesterov momentum 0.9: stable below [\d.]+", told)
    assert "report: " in told
    assert '<section class="card" id="curvature">' in (run / "report.html").read_text()


def test_the_validation_split_is_looked_at_when_asked_for(ravine: Ravine, run: Path) -> None:
    told = json.loads(ravine("inspect", run, "--split", "validation", "--json").out)
    assert (told["split"], told["of"]) == ("validation", 19)


def test_other_data_than_the_runs_are_looked_at_as_such(ravine: Ravine, run: Path, table: Path, tmp_path: Path) -> None:
    (tmp_path / "later.csv").write_text("".join(table.read_text().splitlines(keepends=True)[:31]))
    told = json.loads(ravine("inspect", run, "--data", "later.csv", "--json").out)
    assert (told["split"], told["of"]) == ("later.csv", 30)
    assert "other examples than the run was trained on" in told["notes"][0]


def test_an_ensemble_that_is_damaged_costs_one_slice_and_no_more(ravine: Ravine, run: Path) -> None:
    (run / "ensemble.json").write_text("{}")
    told = json.loads(ravine("inspect", run, "--json").out)
    assert told["slices"]["between"] is None
    assert "ensemble.json is damaged" in told["notes"][0]


def refused(answer, *said: str) -> None:
    assert (answer.status, answer.out) == (2, ""), answer.err
    (line,) = answer.err.strip().splitlines()
    assert line.startswith("ravine: ")
    for pattern in said:
        assert re.search(pattern, line), (pattern, line)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("nowhere", ["no folder nowhere"]),
        ("empty", ["no empty/best/model.json", "finished run"]),
        ("run --split tset", ["split is 'tset'", "train, validation"]),
        ("run --budget 0s", ["budget '0s'", "at least 1 s"]),
        ("run --budget soon", ["budget 'soon'"]),
        ("run --device gpu9", ["device 'gpu9'", "write cpu"]),
        ("run --examples 0", ["examples is 0"]),
        ("run --lr 0", ["lr is 0"]),
        ("run --momentum 1", ["momentum is 1"]),
        ("run --data nowhere.csv", ["no file.*nowhere.csv"]),
        ("run --data digits", ["digits", "trained on a table"]),
        ("run --model mpl", ["did you mean mlp"]),
        ("", ["DIR"]),
    ],
)
def test_what_cannot_be_inspected_is_answered_in_one_line(
    ravine: Ravine, run: Path, tmp_path: Path, words: str, said: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    refused(ravine("inspect", *words.split()), *said)
    assert not (run / "inspection.json").exists()


def test_a_run_that_stopped_before_it_had_a_model_is_refused(ravine: Ravine, table: Path) -> None:
    assert ravine("check", "--data", table, "--target", "kind", "--set", "hidden=8", "--out", "checked").status == 0
    refused(ravine("inspect", "checked"), "no checked/best/model.json")


def test_a_budget_that_is_gone_before_anything_is_measured_is_refused(run: Path) -> None:
    with pytest.raises(SettingError, match=r"budget is 5 s, and .* s are gone .* write --budget \d+s"):
        package.inspect(run, budget=5, started=time.monotonic() - 10)
    assert not (run / "inspection.json").exists()


def test_inspect_has_help(ravine: Ravine) -> None:
    answer = ravine("inspect", "--help")
    assert (answer.status, answer.err) == (0, "")
    assert "--examples" in answer.out

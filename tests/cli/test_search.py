"""`ravine search`: steps 4 to 6 alone, over spaces that may hold settings of the model, and resumable."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections import Counter
from pathlib import Path

import optuna
import pytest
import torch

from ravine.cli.display import Bars

from .conftest import Ravine

SMALL = ("--trials", "8", "--epochs", "8", "--no-known", "--seed", "3", "--out", "run", "--json")


def study(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name="ravine", storage=f"sqlite:///{folder / 'study.db'}")


def test_a_search_with_rates_given_does_steps_4_to_6_with_as_many_trials_as_asked(
    ravine: Ravine, table: Path, tmp_path: Path
) -> None:
    space = ("--space", "lr=log(1e-3,0.1)", "hidden=int(4,64,log)", "optimizer=adamw")
    answer = ravine("search", "--data", table, "--target", "kind", *space, *SMALL)
    assert answer.status == 0, answer.err
    told = json.loads(answer.out)
    assert [step["step"] for step in told["steps"]] == ["coarse", "refine", "curves"]
    trials = study(tmp_path / "run").trials
    assert Counter(trial.user_attrs["phase"] for trial in trials) == {"coarse": 6, "refine": 2}
    assert {trial.params["optimizer"] for trial in trials} == {"adamw"}
    widths = {trial.params["hidden"] for trial in trials}
    assert len({t.params["hidden"] for t in trials if t.user_attrs["phase"] == "coarse"}) == 1  # one full stack
    assert all(4 <= width <= 64 for width in widths)
    assert f"--set hidden={widths.pop()}" in told["best"]["command"]
    assert told["best"]["validation"]["accuracy"] > 0.8


def test_without_rates_step_3_finds_them(ravine: Ravine, table: Path) -> None:
    words = ("--data", table, "--target", "kind", "--set", "hidden=8", "--space", "optimizer=adamw", *SMALL)
    answer = ravine("search", *words)
    assert answer.status == 0, answer.err
    assert [step["step"] for step in json.loads(answer.out)["steps"]] == ["lr-range", "coarse", "refine", "curves"]


@pytest.mark.parametrize("sampler", ["sobol", "tpe"])
def test_the_sampler_draws_and_the_same_seed_draws_the_same(ravine: Ravine, table: Path, sampler: str) -> None:
    words = ("--data", table, "--target", "kind", "--set", "hidden=4", "--sampler", sampler, *SMALL, "--overwrite")
    drawn = []
    for _ in range(2):
        answer = ravine("search", *words, "--space", "lr=log(1e-3,0.1)")
        assert answer.status == 0, answer.err
        drawn.append([trial.params for trial in study(Path("run")).trials])
    assert drawn[0] == drawn[1]


def test_one_after_another_finds_what_the_population_finds(ravine: Ravine, table: Path) -> None:
    found = []
    for engine in ("population", "sequential"):
        words = ("--data", table, "--target", "kind", "--set", "hidden=4", "--engine", engine, *SMALL, "--overwrite")
        told = json.loads(ravine("search", *words, "--space", "lr=log(1e-3,0.02)", "optimizer=adamw").out)
        found.append(told["best"])
    assert found[0]["hyperparameters"] == found[1]["hyperparameters"]
    assert found[0]["validation"]["nll"] == pytest.approx(found[1]["validation"]["nll"], rel=1e-3)


@pytest.mark.skipif(torch.accelerator.is_available(), reason="workers are forks of a process without a GPU")
def test_a_worker_that_is_killed_is_one_line_and_exit_1_and_the_search_goes_on(
    ravine: Ravine, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    words = ("--data", table, "--target", "kind", "--set", "hidden=4", "--space", "lr=log(1e-3,0.1)", *SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Bars, "advance", kill)
        answer = ravine("search", *words, "--workers", "2")
    assert (answer.status, answer.out) == (1, "")
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("ravine: worker 1 of 2 was killed (SIGKILL)")
    assert last.endswith("To go on: ravine resume run")
    assert "Traceback" not in answer.err
    answer = ravine("resume", "run", "--json")
    assert answer.status == 0, answer.err
    assert json.loads((Path("run") / "config.json").read_text())["request"]["own"]["workers"] == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--space", "lr=log(0,1)"), ["lr=log(0,1)", "0 < low"]),
        (("--space", "lr=log(1,0.1)"), ["lr=log(1,0.1)", "low < high"]),
        (("--space", "hiden=int(1,4)"), ["hiden", "hidden"]),
        (("--space", "lr=lgo(1,2)"), ["lgo", "log"]),
        (("--space", "mixpu"), ["mixpu", "mixup"]),
        (("--sampler", "tpee"), ["tpee", "tpe"]),
        (("--engine", "pop"), ["pop", "population"]),
        (("--trials", "0"), ["trials is 0"]),
        (("--epochs", "0"), ["epochs is 0"]),
        (("--workers", "0"), ["workers is 0", "1 or more"]),
        (("--workers", "2", "--device", "meta"), ["workers is 2", "device is meta", "device cpu"]),
    ],
)
def test_what_is_asked_wrongly_is_one_line(
    ravine: Ravine, table: Path, words: tuple[str, ...], said: list[str]
) -> None:
    answer = ravine("search", "--data", table, "--target", "kind", *words)
    assert (answer.status, answer.out) == (2, "")
    assert "\n" not in answer.err.strip()
    assert all(part in answer.err for part in said), answer.err
    assert not Path("runs").exists()

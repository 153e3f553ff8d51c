"""optuna/optuna: studies that are resumed, shared and pruned."""

from __future__ import annotations

import itertools
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

import ravine
from ravine.api import work
from ravine.search import Choice, Log, RepeatableSampler, Study, Uniform

from .conftest import TRIALS, Stopped, trials_of
from .reports import report
from .small import arrays

OPTUNA = "optuna/optuna"
HERE = "optuna 5.0.0"


@report(
    OPTUNA,
    6283,
    "A study that is loaded again after a crash passes over the trial that was running, and starts the next one.",
    ravine="resume goes on with every trial that was running; none is left behind, failed or repeated under another number.",
    seen=HERE,
)
def test_6283_what_was_running_at_a_crash_is_finished_under_its_own_number(stopped: Stopped) -> None:
    running = {trial.number for trial in stopped.at_stop if trial.state == TrialState.RUNNING}
    assert running
    ended = {trial.number: trial.state for trial in stopped.trials(stopped.resumed)}
    assert {ended[number] for number in running} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert TrialState.RUNNING not in ended.values()


@report(
    OPTUNA,
    3255,
    "A study that is resumed with the same seed tries the very parameters again that it had begun with.",
    ravine="A draw is a function of the seed and the trial's number: what comes after a stop is what would have come.",
    seen=HERE,
)
def test_3255_a_resumed_search_draws_no_values_again(stopped: Stopped, tmp_path: Path) -> None:
    assert [t.params for t in stopped.trials(stopped.resumed)] == [t.params for t in stopped.trials(stopped.whole)]
    for sampler in ("random", "sobol", "tpe"):
        folder = tmp_path / sampler
        folder.mkdir()
        drawn = []
        for begins in (True, False):
            study = Study(folder, "classification", 7, ["adamw"], sampler=sampler, resume=not begins)
            drawn += [study.ask("adamw", {"lr": Log(1e-4, 1)}, "coarse", number=k + 4 * (not begins)) for k in range(4)]
            study.close()
        assert len({asked.params["lr"] for asked in drawn}) == 8
        assert [asked.number for asked in drawn] == list(range(8))


@report(
    OPTUNA,
    2638,
    "n_trials counts what is still to come: a study stopped at its 4th trial of 5 runs 5 more when it is started again.",
    ravine="trials is how many there are in all; a resumed search has as many as one that never stopped.",
    seen=HERE,
)
def test_2638_the_number_of_trials_is_of_all_and_not_of_those_to_come(stopped: Stopped) -> None:
    assert 0 < len(stopped.at_stop) < TRIALS
    assert len(stopped.trials(stopped.resumed)) == len(stopped.trials(stopped.whole)) == TRIALS


@report(
    OPTUNA,
    2705,
    "A trial that was killed cannot be taken up with the parameters it had: a resumed study draws other ones.",
    ravine="A trial that was running keeps its number and its parameters, and its reported values are not lost.",
)
def test_2705_a_trial_that_was_running_keeps_its_parameters_and_its_values(stopped: Stopped) -> None:
    later = {trial.number: trial for trial in stopped.trials(stopped.resumed)}
    for trial in stopped.at_stop:
        assert later[trial.number].params == trial.params
        assert trial.intermediate_values.items() <= later[trial.number].intermediate_values.items()
    assert any(trial.intermediate_values for trial in stopped.at_stop)


@report(
    OPTUNA,
    3088,
    "Successive halving compares trials that run side by side unfairly: the first ones meet no rung, or one at another step.",
    ravine="At a rung all trials stand at the same step, the first ones too; the better half by the best so far goes on.",
)
def test_3088_all_trials_are_judged_at_the_same_steps_and_the_better_half_goes_on(stopped: Stopped) -> None:
    coarse = [t for t in stopped.trials(stopped.whole) if t.user_attrs["phase"] == "coarse"]
    rungs = sorted({step for trial in coarse for step in trial.intermediate_values})
    assert len(rungs) == 3
    alive = coarse
    assert all(rungs[0] in trial.intermediate_values for trial in alive)
    for rung, later in itertools.pairwise(rungs):
        went_on = [trial for trial in alive if later in trial.intermediate_values]
        best = {t.number: max(v for step, v in t.intermediate_values.items() if step <= rung) for t in alive}
        assert len(went_on) == (len(alive) + 1) // 2
        assert min(best[t.number] for t in went_on) >= max(best[t.number] for t in alive if t not in went_on)
        alive = went_on
    assert {t.number for t in coarse if t.state == TrialState.COMPLETE} == {t.number for t in alive}


@report(
    OPTUNA,
    2826,
    "Workers that each load the study with a seeded sampler are all suggested the same values.",
    ravine="What is drawn hangs on the trial's number in the study, and no two workers have the same number.",
    seen=HERE,
)
def test_2826_workers_that_load_one_study_are_given_different_values(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    optuna.create_study(study_name="shared", storage=storage)
    space = {"lr": optuna.distributions.FloatDistribution(1e-4, 1, log=True)}
    drawn = []
    for _ in range(4):  # a worker each, with a sampler of the same seed
        worker = optuna.load_study(study_name="shared", storage=storage, sampler=RepeatableSampler("random", seed=1))
        drawn += [worker.ask(space).params["lr"] for _ in range(2)]
    assert len(set(drawn)) == 8
    study = Study(None, "classification", 1, ["adamw"], sampler="tpe")  # a batch of trials asked for at once
    wide = {"lr": Log(1e-4, 1), "dropout": Uniform(0, 0.5)}
    batch = [study.ask("adamw", wide, "coarse").params["lr"] for _ in range(14)]
    assert len(set(batch)) == 14


@report(
    OPTUNA,
    2199,
    "A list of options that has become shorter, or longer, raises: CategoricalDistribution does not support dynamic value space.",
    ravine="The second phase of a search draws from the options that did well, and its trials note the whole list.",
    seen=HERE,
)
def test_2199_a_search_that_gives_up_options_goes_on_with_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "write_report", lambda _folder: None)
    space = {"optimizer": Choice(["sgd"]), "lr": Choice([1e-9, 0.1, 1e-8]), "dropout": Uniform(0, 0.2)}
    more = {"settings": {"hidden": [8]}, "engine": "one by one", "known": False, "out": tmp_path / "run"}
    result = ravine.run_search("mlp", arrays(), space=space, trials=12, epochs=8, **more)
    assert result.best is not None
    assert result.best.hyperparameters["lr"] == 0.1
    trials = trials_of(tmp_path / "run")
    assert {t.distributions["lr"].choices for t in trials} == {(1e-9, 0.1, 1e-8)}
    tried = {
        phase: {t.params["lr"] for t in trials if t.user_attrs["phase"] == phase} for phase in ("coarse", "refine")
    }
    assert tried == {"coarse": {1e-9, 0.1, 1e-8}, "refine": {0.1}}

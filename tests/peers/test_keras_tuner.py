"""keras-team/keras-tuner: resuming, Hyperband, folders that stand there already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ravine
from ravine.errors import FolderError
from ravine.training import read_json

from .conftest import Stopped
from .reports import report
from .small import arrays

TUNER = "keras-team/keras-tuner"


@report(
    TUNER,
    439,
    "A search that is killed in the middle of a trial begins this trial again from its start, every time.",
    ravine="A trial goes on from its last state, half a minute old at most: the steps before the stop are not taken again.",
)
def test_439_a_trial_goes_on_in_its_middle(stopped: Stopped) -> None:
    running = [trial for trial in stopped.at_stop if trial.intermediate_values]
    assert running
    assert 0 < stopped.before < stopped.needed
    assert stopped.before + stopped.after <= stopped.needed + 6  # the step it went down in, of six trials at most
    assert stopped.steps(stopped.resumed) == stopped.steps(stopped.whole)


@report(
    TUNER,
    372,
    "Hyperband trains a model that is promoted to the next round from new random weights, not from those it had.",
    ravine="A trial that stays goes on where it stands: each of its steps is taken once.",
)
def test_372_a_trial_that_stays_is_not_trained_from_the_start_again(stopped: Stopped) -> None:
    for trial in stopped.trials(stopped.whole):
        last = max(trial.intermediate_values)
        assert stopped.steps(stopped.whole)[trial.number] == list(range(1, last + 1))


@report(
    TUNER,
    290,
    "A tuner begun where another one has been takes up the old trials in silence, and fails on what they lack.",
    ravine="A folder with a run in it is refused: resume goes on with it, and overwrite says that it may go.",
)
def test_290_a_run_begun_where_another_one_stands_is_refused(stopped: Stopped, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(stopped.whole, folder)
    before = read_json(folder / "result.json")
    with pytest.raises(FolderError, match=r"overwrite|resume"):
        ravine.run_search("mlp", arrays(), space={"lr": ravine.search.Log(1e-4, 1)}, trials=2, epochs=1, out=folder)
    assert read_json(folder / "result.json") == before

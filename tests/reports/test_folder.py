"""Reading a run folder: partial ones read, damaged ones are named in one line."""

from __future__ import annotations

import shutil
import sqlite3

import pytest

from ravine.errors import FolderError
from ravine.reports.folder import read_run

from .folders import edit_json, write_run


@pytest.fixture
def folder(finished, tmp_path):
    """A whole run that a test may damage."""
    return shutil.copytree(finished, tmp_path / "run")


def refusal(folder):
    with pytest.raises(FolderError) as caught:
        read_run(folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_a_whole_run_is_read(finished):
    run = read_run(finished)
    assert [step.number for step in run.steps] == [1, 2, 3, 4, 5, 6]
    assert run.winner == 7
    assert len(run.trials) == 24
    assert set(run.winner_steps["step"]) == set(range(1, 321))
    assert {trial.fate for trial in run.trials} == {"finished", "stopped early", "diverged"}
    assert run.trials[11].value is None
    assert run.trials[11].reason == "loss was not finite at step 31"


def test_a_stopped_trial_counts_with_its_last_value(finished):
    run = read_run(finished)
    stopped = run.trials[0]
    assert stopped.fate == "stopped early"
    assert stopped.value == pytest.approx(run.epochs["validation_metric"][run.epochs["trial"] == 0][-1])


def test_reading_changes_nothing_in_the_folder(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    read_run(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
def test_a_run_that_stopped_early_is_read(tmp_path, steps):
    run = read_run(write_run(tmp_path / "run", steps=steps, results=False))
    assert len(run.steps) == steps
    assert (run.trials, run.epochs, run.result) == ((), None, None)


def test_one_trained_configuration_needs_no_search_and_no_steps(folder):
    shutil.rmtree(folder / "steps")
    (folder / "study.db").unlink()
    (folder / "result.json").unlink()
    assert read_run(folder).winner is None  # 24 trials, none named
    edit_json(folder / "config.json", command="ravine train")
    import pyarrow.parquet as pq

    path = folder / "history" / "epochs.parquet"
    pq.write_table(pq.read_table(path, filters=[("trial", "==", 3)]), path)
    assert read_run(folder).winner == 3


def test_null_and_nan_are_no_damage(folder):
    path = folder / "steps" / "1-initial-loss.json"
    path.write_text(path.read_text().replace('"mean": ', '"mean": NaN, "was": ', 1))
    edit_json(folder / "steps" / "6-curves.json", evidence={"trial": 7, "label": "good", "gap": None})
    assert read_run(folder).steps[0].evidence.mean is None


def test_a_step_that_measured_nothing_has_no_evidence(folder):
    edit_json(folder / "steps" / "2-overfit.json", evidence={}, status="fail")
    assert read_run(folder).steps[1].evidence is None


def test_no_folder_is_refused(tmp_path):
    assert "give the run folder" in refusal(tmp_path / "absent")


def test_a_folder_without_config_is_refused(tmp_path):
    assert "config.json is missing" in refusal(tmp_path)


@pytest.mark.parametrize(
    "name", ["config.json", "result.json", "evaluation.json", "steps/1-initial-loss.json", "steps/5-refine.json"]
)
@pytest.mark.parametrize("content", [b'{"half', b"\xff\xfe\x00", b"[]"])
def test_a_damaged_record_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    message = refusal(folder)
    assert str(folder / name) in message
    assert "restore it" in message


def test_the_missing_field_is_named(folder):
    path = folder / "steps" / "3-lr-range.json"
    edit_json(path, evidence={"optimizers": {"adamw": {"final_loss": [[1.0]]}}})
    assert "evidence.optimizers.adamw.rates: field required" in refusal(folder)


def test_a_status_that_is_no_status_is_named(folder):
    edit_json(folder / "steps" / "4-coarse.json", status="great")
    assert "status: input should be 'pass', 'warn' or 'fail'" in refusal(folder)


@pytest.mark.parametrize("name", ["study.db", "history/epochs.parquet"])
def test_a_record_that_others_speak_of_is_missed(folder, name):
    (folder / name).unlink()
    assert f"{folder / name} is missing" in refusal(folder)


@pytest.mark.parametrize("name", ["study.db", "history/epochs.parquet", "history/steps.parquet"])
def test_bytes_that_are_no_study_or_table_are_named(folder, name):
    (folder / name).write_bytes(b"not at all" * 50)
    assert str(folder / name) in refusal(folder)


def test_an_empty_study_is_named_and_left_empty(folder):
    (folder / "study.db").write_bytes(b"")
    assert "study.db is damaged" in refusal(folder)
    assert (folder / "study.db").read_bytes() == b""


def test_a_database_without_our_study_is_named(folder):
    with sqlite3.connect(folder / "study.db") as database:
        database.execute("UPDATE studies SET study_name = 'other'")
    database.close()
    assert 'no Optuna study "ravine"' in refusal(folder)


def test_a_table_without_its_columns_is_named(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"trial": [7], "epoch": [1]}), folder / "history" / "epochs.parquet")
    assert "lacks the column step" in refusal(folder)

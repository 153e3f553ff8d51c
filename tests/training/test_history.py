"""The history: a row for each step and evaluation of every trial, and the same rows back from Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from ravine.engines import StepRecord
from ravine.training import History
from ravine.training.history import EPOCH_COLUMNS, STEP_COLUMNS


def record(start: float, trials: int) -> StepRecord:
    return StepRecord(*(torch.arange(trials) + start + part for part in (0.0, 100.0, 200.0)))


def epoch_row(trial: int, epoch: int) -> dict[str, float]:
    return {name: 0.5 + i for i, name in enumerate(EPOCH_COLUMNS)} | {
        "trial": trial,
        "epoch": epoch,
        "step": 10 * epoch,
    }


@pytest.fixture
def history() -> History:
    """Trials 4 and 9 for two steps, then trial 9 alone."""
    found = History()
    found.step([4, 9], 1, [0.1, 0.2], record(0.0, 2))
    found.step([4, 9], 2, [0.3, 0.4], record(10.0, 2))
    found.step([9], 3, [0.5], record(20.0, 1))
    for trial, epoch in ((4, 1), (9, 1), (9, 2)):
        found.epoch(**epoch_row(trial, epoch))
    return found


def test_each_trials_steps_come_in_order_with_its_own_numbers(history: History) -> None:
    assert history.steps(9) == {
        "trial": [9, 9, 9],
        "step": [1, 2, 3],
        "loss": [1.0, 11.0, 20.0],
        "lr": [0.2, 0.4, 0.5],
        "grad_norm": [101.0, 111.0, 120.0],
        "update_ratio": [201.0, 211.0, 220.0],
    }
    assert history.steps(4)["step"] == [1, 2]


def test_all_trials_together_hold_every_row_once(history: History) -> None:
    assert sorted(zip(history.steps()["trial"], history.steps()["step"], strict=True)) == [
        (4, 1), (4, 2), (9, 1), (9, 2), (9, 3),
    ]  # fmt: skip
    assert history.epochs()["trial"] == [4, 9, 9]
    assert history.epochs(9)["epoch"] == [1, 2]


def test_an_unknown_trial_has_no_rows(history: History) -> None:
    assert history.steps(7) == {name: [] for name in STEP_COLUMNS}
    assert history.epochs(7) == {name: [] for name in EPOCH_COLUMNS}


def test_whoever_listens_is_told_each_evaluation_as_it_comes() -> None:
    told: list[dict[str, float]] = []
    history = History(on_epoch=told.append)
    history.epoch(**epoch_row(1, 1))
    assert told == [epoch_row(1, 1)]
    history.epoch(**epoch_row(1, 2))
    assert told[1] == epoch_row(1, 2)


def test_parquet_gives_the_same_rows_back(history: History, tmp_path: Path) -> None:
    history.write(tmp_path / "history")
    for name, columns, wanted in (
        ("steps", STEP_COLUMNS, history.steps()),
        ("epochs", EPOCH_COLUMNS, history.epochs()),
    ):
        table = pq.read_table(tmp_path / "history" / f"{name}.parquet")
        assert table.column_names == list(columns)
        for column in columns:
            assert table[column].to_pylist() == pytest.approx(wanted[column], rel=1e-7)  # float32
            kind = "int32" if column in ("trial", "step", "epoch") else "float"
            assert str(table.schema.field(column).type) == kind


def test_a_history_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    History().write(tmp_path)
    table = pq.read_table(tmp_path / "steps.parquet")
    assert (table.num_rows, table.column_names) == (0, list(STEP_COLUMNS))


def test_a_loss_that_is_not_finite_is_recorded_as_it_is(tmp_path: Path) -> None:
    history = History()
    history.step([0], 1, [0.1], StepRecord(*(torch.tensor([v]) for v in (torch.nan, torch.inf, 0.0))))
    history.write(tmp_path)
    table = pq.read_table(tmp_path / "steps.parquet")
    assert str(table["loss"].to_pylist()) == "[nan]"
    assert table["grad_norm"].to_pylist() == [float("inf")]


def test_rows_beyond_one_block_go_on_in_the_next() -> None:
    history = History()
    for step in range(1, 601):
        history.step([3, 5], step, [0.1 * step, 0.2], record(float(step), 2))
    assert history.steps(5)["step"] == list(range(1, 601))
    assert history.steps(5)["loss"] == [float(step + 1) for step in range(1, 601)]
    assert history.steps(3)["lr"] == [0.1 * step for step in range(1, 601)]


def test_runs_that_take_turns_keep_to_their_own_blocks() -> None:
    history = History()
    for step in range(1, 301):
        history.step([0], step, [0.1], record(0.0, 1))
        history.step([1], step, [0.1], record(50.0, 1))
    assert history.steps(0)["step"] == list(range(1, 301))
    assert set(history.steps(1)["loss"]) == {50.0}

"""What was seen while training: a row a step and a row an evaluation, for every trial.

`steps`: trial, step (from 1), loss, lr, grad_norm, update_ratio. `epochs`: trial, epoch, step, train_loss,
train_metric, validation_loss, validation_metric (accuracy or r2), measured in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ravine.engines import StepRecord
from ravine.training.files import write_atomically

__all__ = ["EPOCH_COLUMNS", "STEP_COLUMNS", "History"]

STEP_COLUMNS = ("trial", "step", "loss", "lr", "grad_norm", "update_ratio")
EPOCH_COLUMNS = ("trial", "epoch", "step", "train_loss", "train_metric", "validation_loss", "validation_metric")


class History:
    """Rows gathered by one or more runs. Losses stay on the device until somebody asks for them.

    on_epoch: told every row of `epochs` as it comes.
    """

    def __init__(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> None:
        self._pending: list[tuple[list[int], int, Sequence[float], StepRecord]] = []
        self._steps: dict[int, dict[str, list[float]]] = {}
        self._epochs: list[dict[str, float]] = []
        self._on_epoch = on_epoch

    def step(self, trials: list[int], step: int, lr: Sequence[float], record: StepRecord) -> None:
        """One step of the trials named."""
        self._pending.append((trials, step, lr, record))

    def epoch(self, **row: float) -> None:
        """One evaluation of one trial; the keys are EPOCH_COLUMNS."""
        self._epochs.append(row)
        if self._on_epoch:
            self._on_epoch(row)

    def steps(self, trial: int | None = None) -> dict[str, list[float]]:
        """The rows of steps as columns, of one trial or of all."""
        self._settle()
        if trial is not None:
            return self._steps.get(trial, {name: [] for name in STEP_COLUMNS})
        return {name: [v for columns in self._steps.values() for v in columns[name]] for name in STEP_COLUMNS}

    def epochs(self, trial: int | None = None) -> dict[str, list[float]]:
        """The rows of evaluations as columns, of one trial or of all."""
        rows = [row for row in self._epochs if trial is None or row["trial"] == trial]
        return {name: [row[name] for row in rows] for name in EPOCH_COLUMNS}

    def _settle(self) -> None:
        """Turn the records gathered since last time into numbers."""
        for trials, step, lr, record in self._pending:
            loss, grad_norm, update_ratio = torch.stack(record).tolist()
            for k, trial in enumerate(trials):
                columns = self._steps.setdefault(trial, {name: [] for name in STEP_COLUMNS})
                row = (trial, step, loss[k], lr[k], grad_norm[k], update_ratio[k])
                for name, value in zip(STEP_COLUMNS, row, strict=True):
                    columns[name].append(value)
        self._pending.clear()

    def write(self, folder: Path) -> None:
        """folder/steps.parquet and folder/epochs.parquet."""
        _write(folder / "steps.parquet", self.steps())
        _write(folder / "epochs.parquet", self.epochs())


def _write(path: Path, columns: dict[str, list[float]]) -> None:
    whole = {"trial", "step", "epoch"}
    table = pa.table(
        {name: pa.array(values, pa.int32() if name in whole else pa.float32()) for name, values in columns.items()}
    )
    write_atomically(path, lambda partial: _parquet(table, partial))


def _parquet(table: Any, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")

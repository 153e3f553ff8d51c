"""What was seen while training: a row a step and a row an evaluation, for every trial.

`steps`: trial, step (from 1), loss, lr, grad_norm, update_ratio. `epochs`: trial, epoch, step, train_loss,
train_metric, validation_loss, validation_metric (accuracy or r2), measured in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from ravine.engines import StepRecord
from ravine.training.files import write_atomically

__all__ = ["EPOCH_COLUMNS", "STEP_COLUMNS", "History"]

STEP_COLUMNS = ("trial", "step", "loss", "lr", "grad_norm", "update_ratio")
EPOCH_COLUMNS = ("trial", "epoch", "step", "train_loss", "train_metric", "validation_loss", "validation_metric")

WHOLE = frozenset(["trial", "epoch", "step"])
"""Columns of whole numbers."""

Columns = dict[str, NDArray[Any]]


class History:
    """Rows gathered by one or more runs. What a step was like stays on the device until somebody asks, or a block is full.

    on_epoch: told every row of `epochs` as it comes.
    """

    def __init__(self, on_epoch: Callable[[dict[str, float]], None] | None = None) -> None:
        self._blocks: list[_Block] = []
        self._open: dict[tuple[int, ...], _Block] = {}
        self._epochs: list[dict[str, float]] = []
        self._on_epoch = on_epoch

    def step(self, trials: Sequence[int], step: int, lr: Sequence[float], record: StepRecord) -> None:
        """One step of the trials named."""
        group = tuple(trials)
        block = self._open.get(group)
        if block is None or block.full:
            block = self._open[group] = _Block(group, record)
            self._blocks.append(block)
        block.add(step, lr, record)

    def epoch(self, **row: float) -> None:
        """One evaluation of one trial; the keys are EPOCH_COLUMNS."""
        self._epochs.append(row)
        if self._on_epoch:
            self._on_epoch(row)

    def steps(self, trial: int | None = None) -> dict[str, list[float]]:
        """The rows of steps as columns, of one trial or of all, trial by trial."""
        return {name: values.tolist() for name, values in self._step_columns(trial).items()}

    def epochs(self, trial: int | None = None) -> dict[str, list[float]]:
        """The rows of evaluations as columns, of one trial or of all."""
        rows = [row for row in self._epochs if trial is None or row["trial"] == trial]
        return {name: [row[name] for row in rows] for name in EPOCH_COLUMNS}

    def _step_columns(self, trial: int | None) -> Columns:
        wanted = dict.fromkeys(t for block in self._blocks for t in block.trials) if trial is None else (trial,)
        parts = [block.columns(one) for one in wanted for block in self._blocks if one in block.trials]
        return {name: np.concatenate([part[name] for part in parts]) if parts else np.empty(0) for name in STEP_COLUMNS}

    def snapshot(self) -> dict[str, Any]:
        """All rows so far. `restore` gives them to another history."""
        rows = [[row[name] for name in EPOCH_COLUMNS] for row in self._epochs]
        return {
            "blocks": [block.snapshot() for block in self._blocks],
            "epochs": torch.tensor(rows, dtype=torch.float64).reshape(len(rows), len(EPOCH_COLUMNS)),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take the rows of a snapshot in place of all that is here. `on_epoch` is not told of them again."""
        self._blocks, self._open = [_Block.restored(block) for block in saved["blocks"]], {}
        self._epochs = [
            {name: int(v) if name in WHOLE else v for name, v in zip(EPOCH_COLUMNS, row, strict=True)}
            for row in saved["epochs"].tolist()
        ]

    def write(self, folder: Path) -> None:
        """folder/steps.parquet and folder/epochs.parquet."""
        _write(folder / "steps.parquet", self._step_columns(None))
        _write(folder / "epochs.parquet", self.epochs())


class _Block:
    """Up to ROWS steps of K trials, in memory that is asked for once.

    Kept one by one, the small tensors of every step would lie between the large ones that a step frees, and break
    free memory into pieces too small to be used again: 16 trials of 85,000 parameters grew by 2 GB in 4,000 steps.
    """

    ROWS = 256

    def __init__(self, trials: tuple[int, ...], like: StepRecord) -> None:
        self.trials = trials
        self._step = np.empty(self.ROWS, dtype=np.int64)
        self._lr = np.empty((self.ROWS, len(trials)))
        self._seen = like.loss.new_empty((self.ROWS, len(like), len(trials)))  # in the order of StepRecord
        self._count = 0

    @property
    def full(self) -> bool:
        return self._count == self.ROWS

    def add(self, step: int, lr: Sequence[float], record: StepRecord) -> None:
        self._step[self._count], self._lr[self._count] = step, lr
        torch.stack(record, out=self._seen[self._count])
        self._count += 1
        if self.full:
            self._seen = self._seen.cpu()

    def snapshot(self) -> dict[str, Any]:
        rows = self._count
        step, lr = torch.from_numpy(self._step[:rows]), torch.from_numpy(self._lr[:rows])
        return {"trials": list(self.trials), "step": step, "lr": lr, "seen": self._seen[:rows]}

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> _Block:
        """A block of a snapshot; nothing is added to it any more."""
        block = cls.__new__(cls)
        block.trials, block._count = tuple(saved["trials"]), len(saved["step"])
        block._step, block._lr, block._seen = saved["step"].numpy(), saved["lr"].numpy(), saved["seen"]
        return block

    def columns(self, trial: int) -> Columns:
        """The rows of one of the trials, by the names of STEP_COLUMNS."""
        k, rows = self.trials.index(trial), self._count
        loss, grad_norm, update_ratio = self._seen[:rows, :, k].cpu().double().numpy().T
        values = (np.full(rows, trial), self._step[:rows], loss, self._lr[:rows, k], grad_norm, update_ratio)
        return dict(zip(STEP_COLUMNS, values, strict=True))


def _write(path: Path, columns: Columns | dict[str, list[float]]) -> None:
    table = pa.table(
        {name: pa.array(values, pa.int32() if name in WHOLE else pa.float32()) for name, values in columns.items()}
    )
    write_atomically(path, lambda partial: _parquet(table, partial))


def _parquet(table: Any, path: Path) -> None:
    pq.write_table(table, path, compression="zstd")

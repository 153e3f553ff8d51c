"""The record of a search: a standard Optuna study in `study.db`, so that its own tools open it.

Trials are asked for in batches, because they are trained in batches.
"""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import QueuePool

from ravine.errors import FolderError
from ravine.search.space import Choice, Distribution, Log, Space
from ravine.training import headline
from ravine.types import Metrics, Task

__all__ = ["STUDY_NAME", "Asked", "Study"]

STUDY_NAME = "ravine"


@dataclass(frozen=True)
class Asked:
    """A trial handed out: its number in the study and the values drawn for it."""

    number: int
    params: Mapping[str, Any]


class Study:
    """Random search over spaces, recorded in folder/study.db (in memory when there is no folder).

    The value of a trial is its validation accuracy, or rmse in units of the target.
    """

    def __init__(self, folder: Path | None, task: Task, seed: int, optimizers: Sequence[str]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.measured = "accuracy" if headline(task) == "accuracy" else "rmse"
        self.optimizers = sorted(optimizers)
        self._path = folder / "study.db" if folder else Path()
        with writing(self._path):
            self._storage = _storage(self._path) if folder else None
            self._study = optuna.create_study(
                study_name=STUDY_NAME,
                storage=self._storage,
                sampler=optuna.samplers.RandomSampler(seed=seed % 2**32),
                direction="maximize" if self.measured == "accuracy" else "minimize",
            )
        self._open: dict[int, optuna.Trial] = {}

    def ask(self, optimizer: str, space: Space, phase: str, *, first: Mapping[str, Any] | None = None) -> Asked:
        """One more trial of an optimizer, its other values drawn from `space`.

        The optimizer is the caller's, so that the stacks of trials stay full. first: values to take instead of
        drawn ones; they may lie outside the space (the winner of another phase, say).
        """
        with writing(self._path), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            self._study.enqueue_trial({**(first or {}), "optimizer": optimizer})
            trial = self._study.ask()
            trial.suggest_categorical("optimizer", self.optimizers)
            for name, distribution in space.items():
                _suggest(trial, name, distribution)
            trial.set_user_attr("phase", phase)
        self._open[trial.number] = trial
        return Asked(trial.number, trial.params)

    def report(self, number: int, step: int, metrics: Metrics) -> None:
        """An intermediate value of a running trial."""
        with writing(self._path):
            self._open[number].report(metrics[self.measured], step)

    def tell(self, number: int, metrics: Metrics | None, *, epochs: int, reason: str | None = None) -> None:
        """End a trial: complete when there is no reason, pruned when it was stopped, failed without metrics."""
        trial = self._open.pop(number)
        state = TrialState.FAIL if metrics is None else TrialState.PRUNED if reason else TrialState.COMPLETE
        with writing(self._path):
            trial.set_user_attr("epochs", epochs)
            if reason:
                trial.set_user_attr("reason", reason)
            value = metrics[self.measured] if metrics and state == TrialState.COMPLETE else None
            self._study.tell(trial, value, state=state)

    @property
    def trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def close(self) -> None:
        """Let go of the file: what SQLite kept in its write-ahead log goes into study.db, which then stands alone."""
        if self._storage is None:
            return
        self._storage.remove_session()
        self._storage.engine.dispose()
        with writing(self._path), self._storage.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # so that readers make no log either
        self._storage.engine.dispose()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What SQLite says when it cannot write, as one FolderError; "disk full" is one of its ways to end."""
    try:
        yield
    except (sqlalchemy.exc.OperationalError, StorageInternalError) as error:
        said: BaseException = error
        while said.__cause__ is not None:
            said = said.__cause__
        raise FolderError(
            f"cannot write {path} ({' '.join(str(said).split())}): see that there is space left and that the folder "
            "can be written, or choose another one with --out."
        ) from error


def _suggest(trial: optuna.Trial, name: str, distribution: Distribution) -> None:
    if isinstance(distribution, Choice):
        trial.suggest_categorical(name, distribution.options)
    else:
        trial.suggest_float(name, distribution.low, distribution.high, log=isinstance(distribution, Log))


def _storage(path: Path) -> optuna.storages.RDBStorage:
    """A SQLite file. One process writes it, and a crash loses no more than the last few rows."""
    # A connection of our own making: in a URL, a folder's name with ? or # would be cut there.
    connect = partial(sqlite3.connect, path.resolve(), check_same_thread=False)
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect, "poolclass": QueuePool})
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return storage

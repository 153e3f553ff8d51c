"""The record of a search: a standard Optuna study in `study.db`, so that its own tools open it.

A search that was killed is told again from its beginning: the same calls in the same order. A trial that was asked for
before is answered from the file, a report or an end that is in the file already is passed over, and what is not there
yet is written. So nothing is lost, nothing is done twice, and the rows become those of a search never stopped: a trial
is written whole, in one transaction, and its values follow from (seed, number, the trials before it) alone.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy.exc
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy.pool import QueuePool

from ravine.errors import FolderError, WriteError
from ravine.search.hyperparameters import applying
from ravine.search.places import to_optuna
from ravine.search.samplers import RepeatableSampler
from ravine.search.space import Space
from ravine.training import headline
from ravine.types import Metrics, Task

__all__ = ["STUDY_NAME", "Asked", "Study"]

STUDY_NAME = "ravine"


@dataclass(frozen=True)
class Asked:
    """A trial handed out: its number in the study and the values drawn for it."""

    number: int
    params: Mapping[str, Any]


@dataclass
class _Row:
    """What the file holds of a trial: the value at each step, and its end when it has one."""

    id: int
    steps: dict[int, float]
    end: tuple[TrialState, float | None, Any, Any] | None  # state, value, epochs, reason


class Study:
    """A search over spaces, recorded in folder/study.db (in memory when there is no folder).

    The value of a trial is its validation accuracy, or rmse in units of the target. sampler: a name in SAMPLERS.
    trials: how many are planned, for a grid. resume: go on with a study.db that stands there; without it, it is
    refused. Raises FolderError for that, for one that is damaged or of another search, and when it cannot be written.
    """

    def __init__(
        self,
        folder: Path | None,
        task: Task,
        seed: int,
        optimizers: Sequence[str],
        *,
        sampler: str = "random",
        trials: int = 64,
        resume: bool = False,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.measured = "accuracy" if headline(task) == "accuracy" else "rmse"
        self.optimizers = sorted(optimizers)
        self._path = folder / "study.db" if folder else Path()
        self._sampler = RepeatableSampler(sampler, seed, trials=trials)
        if folder and self._path.exists() and not resume:
            raise FolderError(f"{self._path} exists already: resume that search, or choose another --out.")
        with writing(self._path):
            self._file = _storage(self._path) if folder else None
            self._storage = self._file or optuna.storages.InMemoryStorage()
            self._study = optuna.create_study(
                study_name=STUDY_NAME,
                storage=self._storage,
                sampler=self._sampler,
                direction="maximize" if self.measured == "accuracy" else "minimize",
                load_if_exists=True,
            )
            self._id = self._storage.get_study_id_from_name(STUDY_NAME)
            self._rows = [_row(trial) for trial in self.trials]
            self._check({"measured": self.measured, "seed": seed, "sampler": sampler, "optimizers": self.optimizers})
        self._next = 0  # the number that is asked for next, from the beginning also where a search is told again

    @property
    def learns(self) -> bool:
        """Whether what is asked for hangs on what was told."""
        return self._sampler.learns

    def ask(
        self,
        optimizer: str,
        space: Space,
        phase: str,
        *,
        structure: Mapping[str, Any] | None = None,
        first: Mapping[str, Any] | None = None,
        number: int | None = None,
    ) -> Asked:
        """One more trial of an optimizer, its other values drawn from the part of `space` that applies to it.

        The optimizer and the structure (values of names in `space`) are the caller's, so that the stacks of trials stay
        full. first: values to take instead of drawn ones; they may lie outside the space (the winner of another phase,
        say). number: which trial this is; the one after the last asked for when not given. One that the file holds
        comes back as it was recorded.
        """
        number = self._next if number is None else number
        self._next = number + 1
        if number < len(self._rows):
            return self._recorded(number, optimizer, phase)
        if number > len(self._rows):
            raise self._damaged(f"trial {number} is asked for, and it holds {len(self._rows)}")
        known = {**(first or {}), **(structure or {}), "optimizer": optimizer}
        trial = self._drawn(number, known, space, {"phase": phase, **({"given": True} if first else {})})
        with writing(self._path):
            self._rows.append(_Row(self._storage.create_new_trial(self._id, template_trial=trial), {}, None))
        return Asked(number, trial.params)

    def report(self, number: int, step: int, metrics: Metrics) -> None:
        """An intermediate value of a running trial; passed over when the file holds that step."""
        row = self._rows[number]
        if step in row.steps:
            return
        if row.end is not None:
            raise self._damaged(f"trial {number} ended without its value at step {step}")
        with writing(self._path):
            self._storage.set_trial_intermediate_value(row.id, step, metrics[self.measured])
        row.steps[step] = metrics[self.measured]

    def tell(self, number: int, metrics: Metrics | None, *, epochs: int, reason: str | None = None) -> None:
        """End a trial: complete when there is no reason, pruned when it was stopped, failed without metrics.

        Passed over when the file says the same; raises FolderError when it says something else.
        """
        row = self._rows[number]
        state = TrialState.FAIL if metrics is None else TrialState.PRUNED if reason else TrialState.COMPLETE
        value = metrics[self.measured] if metrics and state == TrialState.COMPLETE else None
        if state == TrialState.PRUNED and row.steps:
            last = row.steps[max(row.steps)]  # as Optuna has it: the last one reported, unless it is no number
            value = None if math.isnan(last) else last
        end = (state, value, epochs, reason)
        if row.end is not None:
            if row.end != end:
                raise self._damaged(f"trial {number} ended as {_told(row.end)}, and now as {_told(end)}")
            return
        with writing(self._path):
            self._storage.set_trial_user_attr(row.id, "epochs", epochs)
            if reason:
                self._storage.set_trial_user_attr(row.id, "reason", reason)
            self._storage.set_trial_state_values(row.id, state, None if value is None else [value])
        row.end = end

    @property
    def trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def close(self) -> None:
        """Let go of the file: what SQLite kept in its write-ahead log goes into study.db, which then stands alone."""
        self._let_go()
        if self._file is not None:
            with writing(self._path), self._file.engine.connect() as connection:
                connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # so that readers make no log either
            self._let_go()

    def _let_go(self) -> None:
        """Close every connection."""
        if self._file is not None:
            self._file.remove_session()
            self._file.engine.dispose()

    def _drawn(self, number: int, given: Mapping[str, Any], space: Space, attrs: Mapping[str, Any]) -> FrozenTrial:
        """A trial with all its values, the given ones and those of the sampler; nothing is written."""
        optimizer = {"optimizer": CategoricalDistribution(self.optimizers)}
        whole = {**optimizer, **{name: to_optuna(d) for name, d in space.items()}}
        known = {name: value for name, value in given.items() if name in whole}
        if "schedule" in whole and "schedule" not in known:  # whether there are cycles depends on it
            blank = _running({}, {}, {}, number)
            known["schedule"] = self._sampler.sample_independent(self._study, blank, "schedule", whole["schedule"])
        applied = {**optimizer, **{name: whole[name] for name in applying(space, known)}}
        known = {name: value for name, value in known.items() if name in applied}
        holding = {name: _holding(applied[name], value) for name, value in known.items()}
        before = _running(known, holding, attrs, number)
        drawn = self._sampler.sample_relative(
            self._study, before, {name: d for name, d in applied.items() if name not in known}
        )
        distributions = {name: holding.get(name, d) for name, d in applied.items()}
        params = {name: _exact(d, {**known, **drawn}[name]) for name, d in distributions.items()}
        return _running(params, distributions, attrs, number)

    def _recorded(self, number: int, optimizer: str, phase: str) -> Asked:
        trial = self.trials[number]
        found = (trial.user_attrs.get("phase"), trial.params.get("optimizer"))
        if found != (phase, optimizer):
            raise self._damaged(f"trial {number} is one of {found}, not of {(phase, optimizer)}")
        return Asked(number, trial.params)

    def _check(self, asked: Mapping[str, Any]) -> None:
        """Note what was asked for, or hold it against what was noted."""
        noted = self._study.user_attrs
        for name, value in asked.items():
            if noted.get(name, value) != value:
                self._let_go()
                raise FolderError(
                    f"{self._path} is a search with {name} {noted[name]!r}, and {value!r} is asked for: "
                    "resume it as it was begun, or choose another --out."
                )
            if name not in noted:
                self._study.set_user_attr(name, value)

    def _damaged(self, found: str) -> FolderError:
        return FolderError(
            f"{self._path} is damaged or of another search ({found}): search again with another --out, or take it from a copy."
        )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What SQLite says when it cannot read or write, as one FolderError; "disk full" is one of its ways to end."""
    try:
        yield
    except (sqlalchemy.exc.DatabaseError, StorageInternalError, RuntimeError) as error:
        said: BaseException = error
        while said.__cause__ is not None:
            said = said.__cause__
        text = " ".join(str(said).split())
        if not isinstance(said, sqlite3.OperationalError):
            raise FolderError(
                f"{path} is damaged ({text}): take it from a copy, or search again with another --out."
            ) from error
        raise WriteError(
            f"cannot write {path} ({text}): see that there is space left and that the folder "
            "can be written, or choose another one with --out."
        ) from error


def _row(trial: FrozenTrial) -> _Row:
    end = (trial.state, trial.value, trial.user_attrs.get("epochs"), trial.user_attrs.get("reason"))
    return _Row(trial._trial_id, dict(trial.intermediate_values), end if trial.state.is_finished() else None)


def _told(end: tuple[TrialState, float | None, Any, Any]) -> str:
    state, value, epochs, reason = end
    return f"{state.name.lower()} with {value} after {epochs} epochs ({reason})"


def _running(
    params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], attrs: Mapping[str, Any], number: int
) -> FrozenTrial:
    """A trial of that number as it stands before it is written."""
    trial = create_trial(
        state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions), user_attrs=dict(attrs)
    )
    trial.number = number
    return trial


def _holding(d: BaseDistribution, value: Any) -> BaseDistribution:
    """The distribution, widened to hold a value from outside."""
    if isinstance(d, FloatDistribution):
        return FloatDistribution(min(d.low, value), max(d.high, value), log=d.log)
    if isinstance(d, IntDistribution):
        return IntDistribution(min(d.low, value), max(d.high, value), log=d.log)
    return d


def _exact(d: BaseDistribution, value: Any) -> Any:
    """A value as it will be read back from the file."""
    return d.to_external_repr(d.to_internal_repr(value))


def _connect(path: Path) -> sqlite3.Connection:
    """SQLite is told not to wait for the disk at each of a search's hundreds of writes. The file stays whole whatever
    happens; when the power fails its last rows may be gone, and are written again when the search is told again.
    """
    connection = sqlite3.connect(path.resolve(), check_same_thread=False)
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection


def _storage(path: Path) -> optuna.storages.RDBStorage:
    """A SQLite file, written by one process."""
    # A connection of our own making: in a URL, a folder's name with ? or # would be cut there.
    engine = {"creator": partial(_connect, path), "poolclass": QueuePool}
    storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs=engine)
    with storage.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    return storage

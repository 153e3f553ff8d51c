"""The search of a run: the trials of its Optuna study, read without writing to the file."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from ravine.errors import FolderError
from ravine.training.plain_database import check_plain_database

__all__ = ["STUDY", "Range", "Trial", "read_study"]

STUDY = "ravine"
"""The study's name in `study.db`."""

FAILURES = ("raised ", "out of memory")
"""How the reason begins of a trial that its model, its loss or the machine ended."""

Fate = Literal["finished", "stopped early", "diverged", "failed", "unfinished"]


@dataclass(frozen=True)
class Range:
    low: float
    high: float
    log: bool  # drawn on a log scale


@dataclass(frozen=True)
class Trial:
    number: int
    parameters: dict[str, Any]
    value: float | None  # validation accuracy, or rmse; None when there is none or it is not finite
    fate: Fate
    phase: str  # "coarse" or "refine"
    reason: str  # why it was stopped; may be empty
    ranges: dict[str, Range] = field(default_factory=dict)  # of each parameter that was drawn from one


def read_study(path: Path) -> tuple[Trial, ...]:
    """All trials of the run by number, without those of other drivers where the study was shared; none when there is no
    such file.

    Raises FolderError when the file is no Optuna study of ours.
    """
    if not path.is_file():
        return ()
    check_plain_database(path)
    import optuna  # slow to import, and a partial run has no study
    import sqlalchemy.exc

    damage = (
        *(sqlalchemy.exc.SQLAlchemyError, optuna.exceptions.OptunaError, sqlite3.Error, RuntimeError),
        *(LookupError, TypeError, ValueError, AttributeError, ArithmeticError, AssertionError),  # JSON of another shape
    )
    # A connection of our own making: read-only, and no character of the path is read as part of a URL.
    place = f"file:{quote(str(path.resolve()))}?mode=ro"
    connect = partial(sqlite3.connect, place, uri=True, check_same_thread=False)
    try:
        storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": connect})
    except damage as error:
        raise unreadable(path, error) from error
    try:
        study = optuna.load_study(study_name=STUDY, storage=storage)
        driver = study.user_attrs.get("driver")
        found = [as_trial(t) for t in study.get_trials(deepcopy=False) if t.user_attrs.get("driver") == driver]
    except damage as error:
        raise unreadable(path, error) from error
    finally:
        storage.remove_session()
        storage.engine.dispose()
    return tuple(found)


def unreadable(path: Path, error: Exception) -> FolderError:
    lines = str(error).splitlines() or [type(error).__name__]
    return FolderError(
        f'{path} is damaged: it holds no Optuna study "{STUDY}" ({lines[0]}); '
        "restore it, or run the command again with a new --out."
    )


def as_trial(trial: Any) -> Trial:
    """Our view of an optuna.trial.FrozenTrial; a stopped trial counts with its last value on validation."""
    reason = str(trial.user_attrs.get("reason", ""))
    failure: Fate = "failed" if reason.startswith(FAILURES) else "diverged"
    fates: dict[str, Fate] = {"COMPLETE": "finished", "PRUNED": "stopped early", "FAIL": failure}
    value = trial.value
    if value is None and trial.intermediate_values:
        value = trial.intermediate_values[max(trial.intermediate_values)]
    fate = fates.get(trial.state.name, "unfinished")
    return Trial(
        number=trial.number,
        parameters=dict(trial.params),
        value=None if fate == failure or value is None or not abs(value) < float("inf") else float(value),
        fate=fate,
        phase=str(trial.user_attrs.get("phase", "coarse")),
        reason=reason,
        ranges={
            name: Range(float(d.low), float(d.high), d.log)
            for name, d in trial.distributions.items()
            if hasattr(d, "low") and not d.single()
        },
    )

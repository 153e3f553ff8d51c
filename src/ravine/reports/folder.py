"""Reads a run folder whole: the JSON records here, the study and the history by their own files.

A record that is absent is left out of the report, for a run may have stopped anywhere. A record that is there
and cannot be read, or one that another record speaks of and that is gone, is a FolderError of one line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from ravine.errors import FolderError
from ravine.limits import RECORD_BYTES
from ravine.reports.history import EPOCH_COLUMNS, STEP_COLUMNS, Curves, read_curves, read_trial_numbers
from ravine.reports.inspection import Inspection
from ravine.reports.records import (
    Config,
    CurveReading,
    Diagnosis,
    Evaluation,
    Evidence,
    InitialLoss,
    LrRange,
    Overfit,
    Result,
    SearchSummary,
    StepRecord,
)
from ravine.reports.study import Trial, read_study
from ravine.training.files import check_contained

__all__ = ["Run", "StepResult", "read_run"]

AGAIN = "restore it, or run the command again with a new --out"

STEPS: dict[str, type[Evidence]] = {
    "1-initial-loss": InitialLoss,
    "2-overfit": Overfit,
    "3-lr-range": LrRange,
    "4-coarse": SearchSummary,
    "5-refine": SearchSummary,
    "6-curves": CurveReading,
}
"""Each step's file name, and the class that its evidence must fit."""

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class StepResult:
    number: int
    record: StepRecord
    evidence: Evidence | None  # None when the step ended before it measured anything


@dataclass(frozen=True)
class Run:
    """Everything the report shows; parts without a record are None or empty."""

    folder: Path
    config: Config
    steps: tuple[StepResult, ...]
    trials: tuple[Trial, ...]  # by number; the study's
    winner: int | None  # the trial whose curves are drawn thick
    epochs: Curves | None  # of all trials
    winner_steps: Curves | None
    evaluation: Evaluation | None
    result: Result | None
    inspection: Inspection | None = None
    diagnosis: Diagnosis | None = None

    def evidence(self, kind: type[R]) -> tuple[R, ...]:
        """The evidence of one class, in the order of the steps."""
        return tuple(step.evidence for step in self.steps if isinstance(step.evidence, kind))


def read_run(folder: Path) -> Run:
    """The whole run folder.

    Raises FolderError when the folder is no run folder or one of its records is damaged.
    """
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder: give the run folder that --out named, such as runs/digits.")
    check_contained(folder)
    config = read_record(folder / "config.json", Config)
    if config is None:
        raise FolderError(f"{folder / 'config.json'} is missing: {folder} is no run folder, or a damaged one; {AGAIN}.")
    steps = read_steps(folder / "steps")
    result = read_record(folder / "result.json", Result)
    evidence = [step.evidence for step in steps]
    epochs_path, steps_path = folder / "history" / "epochs.parquet", folder / "history" / "steps.parquet"
    demand(folder / "study.db", any(isinstance(item, SearchSummary) and item.trials for item in evidence), "the search")
    demand(epochs_path, any(isinstance(item, CurveReading) for item in evidence), "the curves")
    winner = winning_trial(evidence, result, epochs_path)
    return Run(
        folder=folder,
        config=config,
        steps=steps,
        trials=read_study(folder / "study.db"),
        winner=winner,
        epochs=read_curves(epochs_path, EPOCH_COLUMNS),
        winner_steps=None if winner is None else read_curves(steps_path, STEP_COLUMNS, trial=winner),
        evaluation=read_record(folder / "evaluation.json", Evaluation),
        result=result,
        inspection=read_record(folder / "inspection.json", Inspection),
        diagnosis=read_record(folder / "diagnosis.json", Diagnosis),
    )


def read_record(path: Path, kind: type[R]) -> R | None:
    """One JSON record, or None when there is no such file; NaN and infinities read as None.

    Raises FolderError when the file is not JSON or a field is missing or of another type.
    """
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > RECORD_BYTES:
            raise FolderError(f"{path} is damaged: it has more than {RECORD_BYTES:,} bytes; {AGAIN}.")
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FolderError:
        raise
    except (ValueError, RecursionError) as error:  # a JSON error, or bytes that are not UTF-8
        raise FolderError(f"{path} is damaged: it is not JSON ({error}); {AGAIN}.") from error
    except OSError as error:
        raise FolderError(f"{path} cannot be read ({error.strerror}); make it readable to this user.") from error
    return checked(found, kind, path)


def checked(found: object, kind: type[R], path: Path, within: str = "") -> R:
    """`found` as a record of `kind`; FolderError with the first field that does not fit."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join([*within.split(), *(str(part) for part in first["loc"])]) or "the record"
        raise FolderError(f"{path} is damaged: {field}: {first['msg'].lower()}; {AGAIN}.") from error


def read_steps(folder: Path) -> tuple[StepResult, ...]:
    """The verdicts that are there, in the order of the recipe."""
    steps = []
    for number, (name, kind) in enumerate(STEPS.items(), 1):
        path = folder / f"{name}.json"
        record = read_record(path, StepRecord)
        if record is not None:
            evidence = checked(record.evidence, kind, path, "evidence") if record.evidence else None
            steps.append(StepResult(number, record, evidence))
    return tuple(steps)


def demand(path: Path, needed: bool, speaker: str) -> None:
    """Raises FolderError when a step's record speaks of `path` and there is no such file."""
    if needed and not path.is_file():
        raise FolderError(f"{path} is missing, though a record of {speaker} is there; {AGAIN}.")


def winning_trial(evidence: list[Evidence | None], result: Result | None, epochs: Path) -> int | None:
    """The trial that won: by the result, else by the last step that names one, else the only one trained."""
    if result is not None and result.best is not None and result.best.trial is not None:
        return result.best.trial
    for item in reversed(evidence):
        if isinstance(item, CurveReading):
            return item.trial
        if isinstance(item, SearchSummary) and item.best is not None:
            return item.best.trial
    numbers = read_trial_numbers(epochs)
    return numbers[0] if len(numbers) == 1 else None

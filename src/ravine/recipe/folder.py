"""The run folder, written: configuration, verdicts, histories, models, results. Everything a run learned is in it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ravine.data import Data
from ravine.errors import FolderError
from ravine.models import Model
from ravine.recipe.handback import Committee
from ravine.recipe.inspection import Inspection
from ravine.recipe.lock import LOCK, Lock
from ravine.recipe.session import Session
from ravine.recipe.verdict import STEPS, Verdict
from ravine.training import History, Kept, Setting, read_json, save_members, save_model, write_json
from ravine.training.files import cannot_write, check_contained, understood

__all__ = ["Folder", "recorded_answers", "train_command"]

RESUME = "resume"

LIBRARIES = ("torch", "numpy", "optuna", "scikit-learn", "pandas", "datasets", "plotly")


@dataclass(frozen=True)
class Folder:
    """One run's place on disk, or nowhere when path is None: then nothing is written.

    What was created or opened is this process's alone until `close`.
    """

    path: Path | None
    lock: Lock | None = field(default=None, repr=False, compare=False)

    @classmethod
    def create(cls, path: str | Path | None, *, overwrite: bool = False) -> Folder:
        """A new, empty folder. Raises FolderError when something stands there and overwrite is False, or another process
        has it.
        """
        if path is None:
            return cls(None)
        path = Path(path)
        try:
            _check_free(path, overwrite)
            path.mkdir(parents=True, exist_ok=True)
            lock = Lock(path)
            _check_free(path, overwrite)  # another process may have begun and ended before we had the lock
            _empty(path)
            (path / RESUME).mkdir()
        except OSError as error:
            raise cannot_write(path, error) from error
        return cls(path, lock)

    @classmethod
    def reopen(cls, path: str | Path) -> Folder:
        """The folder of a run that was begun. Raises FolderError when there is none, or another process has it."""
        path = Path(path)
        if not (path / "config.json").is_file():
            raise FolderError(f"{path} holds no config.json, so no run was begun there: give the folder of a run.")
        check_contained(path)
        try:
            lock = Lock(path)
            for half in path.rglob(".*.partial"):  # what was being written when the process was killed
                half.unlink()
        except OSError as error:
            raise cannot_write(path, error) from error
        return cls(path, lock)

    def close(self) -> None:
        """Let other processes in."""
        if self.lock is not None:
            self.lock.release()

    @property
    def states(self) -> Path | None:
        """Where the states of a run that is under way lie; the folder is there from its beginning to its end."""
        return None if self.path is None else self.path / RESUME

    @property
    def finished(self) -> bool:
        """Is there nothing to go on with?"""
        return self.states is None or not self.states.is_dir()

    def config(self, session: Session, **more: Any) -> None:
        """config.json: what was asked, on what data, with which versions."""
        if self.path is None:
            return
        versions = {"python": platform.python_version(), **{n: importlib.metadata.version(n) for n in LIBRARIES}}
        model = session.model
        record = {
            "ravine": importlib.metadata.version("ravine"),
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "data": _described(session.data),
            "model": {"name": model.name, "settings": dict(model.settings), "parameters": session.parameters},
            "seed": session.seed,
            "batch_size": session.batch_size,
            "device": str(session.device),
            "threads": torch.get_num_threads(),
            "versions": versions,
            **more,
        }
        write_json(self.path / "config.json", record)

    def verdict(self, verdict: Verdict) -> None:
        if self.path is not None:
            write_json(self.path / _verdict_name(verdict.step), verdict.record())

    def known_verdict(self, step: str) -> Verdict | None:
        """What was recorded of a step, in this process or an earlier one."""
        if self.path is None or not (self.path / _verdict_name(step)).is_file():
            return None
        path = self.path / _verdict_name(step)
        record = read_json(path)
        with understood(path):
            return Verdict.of(record)

    def history(self, history: History) -> None:
        if self.path is not None:
            history.write(self.path / "history")

    def models(self, session: Session, best: Kept, committee: Committee | None) -> None:
        """best/, and of an ensemble the checkpoints of its members and what makes them one."""
        if self.path is None:
            return
        data = session.data
        model = session.model_with(best.model_settings)
        save_model(self.path / "best" / "model", best, model, data.task, data.preprocessing)
        if committee is None:
            return
        members = [one.kept for one in committee.members]
        for one in members:
            model = session.model_with(one.model_settings)
            save_model(self.path / "checkpoints" / checkpoint_name(one), one, model, data.task, data.preprocessing)
        save_members(self.path, committee.kind, [checkpoint_name(one) for one in members], committee.weights)

    def inspection(self, found: Inspection) -> None:
        """inspection.json, in place of an earlier one."""
        self.record("inspection.json", found.record())

    def record(self, name: str, record: Mapping[str, Any]) -> None:
        if self.path is not None:
            write_json(self.path / name, record)


def recorded_answers(folder: Path) -> dict[str, dict[str, Any]]:
    """What a run recorded of each way to predict: {"best": {"validation", "test", "temperature"}, ...}.

    Raises FolderError when evaluation.json is missing or damaged.
    """
    path = folder / "evaluation.json"
    record = read_json(path)
    answers: Any = record.get("answers") if isinstance(record, dict) else None
    if not isinstance(answers, dict) or "best" not in answers or not all(map(_is_answer, answers.values())):
        raise FolderError(
            f"{path} is damaged (it must hold the answers of the run): run again, or take it from a copy."
        )
    return dict(answers)


def _is_answer(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("test"), dict)


def _verdict_name(step: str) -> str:
    return f"steps/{STEPS.index(step) + 1}-{step}.json"


def _check_free(path: Path, overwrite: bool) -> None:
    """Raise FolderError where something stands that must not be deleted."""
    if not path.is_symlink() and (not path.exists() or (path.is_dir() and not _contents(path))):
        return
    if path.is_symlink() or not (path / "config.json").is_file():
        kind = "a link" if path.is_symlink() else "a file" if path.is_file() else "a folder without a config.json"
        raise FolderError(f"{path} exists already and is {kind}, not a run folder: choose another --out.")
    if not overwrite:
        going_on = f"ravine resume {shlex.quote(str(path))} to go on with it, " if (path / RESUME).is_dir() else ""
        raise FolderError(f"{path} exists already: write {going_on}--overwrite to replace it, or another --out.")


def _contents(path: Path) -> list[Path]:
    """What a run leaves, but for what it makes before it has a config.json."""
    own = [LOCK] if (path / "config.json").exists() else [LOCK, RESUME]
    return [each for each in path.iterdir() if each.name not in own and not each.name.endswith(".partial")]


def _empty(path: Path) -> None:
    """Delete all but the lock that is held."""
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != LOCK:
            each.unlink()


def _described(data: Data) -> dict[str, Any]:
    return {
        "name": data.name,
        "target": data.preprocessing.target.name,
        "task": data.task,
        "input_shape": data.input_shape,
        "outputs": data.outputs,
        "classes": data.classes,
        "sizes": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "notes": data.notes,
        "fingerprint": data.fingerprint,
    }


def checkpoint_name(kept: Kept) -> str:
    return f"trial-{kept.trial:05d}"


def train_command(data: Data, model: Model, setting: Setting, *, epochs: int, source: Mapping[str, Any]) -> str:
    """The command that trains these settings again, ready to paste.

    source: the options that named the data and the way of training (`target`, `task`, `ensemble`, ...), those that
    are None left out.
    """
    words = ["ravine", "train", "--data", data.name]
    for name, value in source.items():
        if value is not None:
            words += [f"--{name}", str(value)]
    words += ["--model", model.name or "FILE.py:FACTORY"]
    for key, value in model.settings.items():
        text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        words += ["--set", f"{key}={text}"]
    for name, value in setting.hyperparameters().items():
        words += [f"--{name.replace('_', '-')}"]
        words += [] if value is True else [_exactly(value)]
    return shlex.join([*words, "--epochs", str(epochs), "--out", "runs/again"])


def _exactly(value: object) -> str:
    """A value as it is typed, with every digit it needs: a long run at a high rate forgets none."""
    short = f"{value:g}" if isinstance(value, float) else ""
    return short if short and float(short) == value else str(value)

"""The run folder, written: configuration, verdicts, histories, models, results. Everything a run learned is in it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ravine.data import Data
from ravine.errors import FolderError
from ravine.models import Model
from ravine.recipe.handback import Committee
from ravine.recipe.inspection import Inspection
from ravine.recipe.session import Session
from ravine.recipe.verdict import STEPS, Verdict
from ravine.training import History, Kept, Setting, read_json, save_members, save_model, write_json
from ravine.training.files import cannot_write

__all__ = ["Folder", "recorded_answers", "train_command"]

LIBRARIES = ("torch", "numpy", "optuna", "scikit-learn", "pandas", "datasets", "plotly")


@dataclass(frozen=True)
class Folder:
    """One run's place on disk, or nowhere when path is None: then nothing is written."""

    path: Path | None

    @classmethod
    def create(cls, path: str | Path | None, *, overwrite: bool = False) -> Folder:
        """A new, empty folder. Raises FolderError when something stands there and overwrite is False."""
        if path is None:
            return cls(None)
        path = Path(path)
        try:
            if path.is_file() or (path.is_dir() and any(path.iterdir())):
                _clear(path, overwrite)
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        return cls(path)

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
            number = STEPS.index(verdict.step) + 1
            write_json(self.path / "steps" / f"{number}-{verdict.step}.json", verdict.record())

    def history(self, history: History) -> None:
        if self.path is not None:
            history.write(self.path / "history")

    def models(self, best: Kept, committee: Committee | None, model: Model, data: Data) -> None:
        """best/, and of an ensemble the checkpoints of its members and what makes them one."""
        if self.path is None:
            return
        save_model(self.path / "best" / "model", best, model, data.task, data.preprocessing)
        if committee is None:
            return
        members = [one.kept for one in committee.members]
        for one in members:
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


def _clear(path: Path, overwrite: bool) -> None:
    """Delete the run that stands at `path` if that is asked for, and nothing else."""
    is_run = (path / "config.json").is_file()
    if path.is_symlink() or not is_run:
        kind = "a link" if path.is_symlink() else "a file" if path.is_file() else "a folder without a config.json"
        raise FolderError(f"{path} exists already and is {kind}, not a run folder: choose another --out.")
    if not overwrite:
        raise FolderError(f"{path} exists already: write --overwrite to replace it, or another --out.")
    shutil.rmtree(path)


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

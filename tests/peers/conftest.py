"""One search that goes down in the middle and is resumed, beside the same one that never stopped."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from optuna.trial import FrozenTrial
from tests.recipe.crashes import Fuse, crashing

import ravine
from ravine.api import work
from ravine.search import STUDY_NAME, Log
from ravine.training import Run

from .small import arrays

TRIALS, EPOCHS = 8, 8


def trials_of(folder: Path) -> list[FrozenTrial]:
    """The trials of a folder, as Optuna itself reads them."""
    return optuna.load_study(study_name=STUDY_NAME, storage=f"sqlite:///{folder / 'study.db'}").trials


@dataclass(frozen=True)
class Stopped:
    """Two folders of one search. Steps are of stacks of trials."""

    whole: Path  # never stopped
    resumed: Path  # went down, and was resumed
    at_stop: list[FrozenTrial]  # of the second, when it went down
    needed: int  # steps of the first
    before: int  # steps of the second until it went down
    after: int  # and from then on

    def trials(self, folder: Path) -> list[FrozenTrial]:
        return trials_of(folder)

    def steps(self, folder: Path) -> dict[int, list[int]]:
        """The steps that each trial took, in the order of the history."""
        table = pq.read_table(folder / "history" / "steps.parquet", columns=["trial", "step"])
        found: dict[int, list[int]] = {}
        for trial, step in zip(*(table.column(name).to_pylist() for name in ("trial", "step")), strict=True):
            found.setdefault(trial, []).append(step)
        return found


@pytest.fixture(scope="package")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    taken: list[int] = []
    follow = Run._follow_schedules

    def counted(run: Run) -> list[float]:
        taken.append(run.step)
        return follow(run)

    def search(out: Path, watch: Fuse) -> None:
        space = {"lr": Log(1e-3, 1.0), "dropout": ravine.search.Uniform(0.0, 0.5)}
        more = {"settings": {"hidden": [8]}, "batch_size": 16, "engine": "one by one", "watch": watch}
        ravine.run_search(
            "mlp", arrays(), space=space, trials=TRIALS, epochs=EPOCHS, sampler="sobol", known=False, out=out, **more
        )

    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_follow_schedules", counted)
        patch.setattr(work, "write_report", lambda _folder: None)  # it is made of the records that are compared
        search(folder / "whole", Fuse())
        needed = len(taken)
        with crashing():
            search(folder / "cut", Fuse("coarse", 2))
        before = len(taken) - needed
        shutil.copytree(folder / "cut", folder / "copy")
        ravine.resume(folder / "cut", data=arrays(), watch=Fuse())
        after = len(taken) - needed - before
    return Stopped(folder / "whole", folder / "cut", trials_of(folder / "copy"), needed, before, after)

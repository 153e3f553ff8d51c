"""A run that is killed, stopped or damaged at any moment, and goes on to the result of one that never was."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.recipe.crashes import CrashError, Fuse, crashing
from tests.recipe.runs import Server, content, differences

import ravine
from ravine.api import work
from ravine.errors import DataError, FolderError, ModelError
from ravine.models import mlp
from ravine.recipe import coarse, lr_range, overfit, refine
from ravine.recipe.folder import Folder
from ravine.search import Choice, Log, Plan, Study
from ravine.training import Run
from ravine.types import Metrics

KILLS = 6


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server() as running:
        yield running
    assert running.errors == ""


@pytest.fixture(scope="module")
def never_stopped(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    server.begin(folder)
    assert server.ended() == 0
    return folder


def test_a_run_killed_again_and_again_ends_as_one_never_stopped(
    server: Server, never_stopped: Path, tmp_path: Path
) -> None:
    draw, kills, ended = np.random.default_rng(6), 0, 0
    folder = tmp_path / "run"
    while kills < KILLS or not ended:
        pid = server.begin(folder)
        if kills < KILLS:
            time.sleep(draw.uniform(0.1, 0.9))
            os.kill(pid, signal.SIGKILL)  # of one that has ended just now, it is waited for and its number is free
        status = server.ended()
        assert status in (0, -signal.SIGKILL)
        kills += status != 0
        if status == 0:
            assert differences(content(folder), content(never_stopped)) == []
            ended += 1
            shutil.rmtree(folder)
    assert kills >= KILLS


def test_what_is_killed_lets_go_of_its_folder_and_what_runs_does_not(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    pid = server.begin(folder)
    wait_for(folder / "config.json")
    for attempt in (
        lambda: ravine.resume(folder),
        lambda: ravine.tune("mlp", "digits", out=folder, overwrite=True),
        lambda: Folder.create(folder, overwrite=True),
    ):
        with pytest.raises(FolderError, match=rf"in use by another process \({pid}\): wait until it has ended"):
            attempt()
    assert (folder / "config.json").exists()
    os.kill(pid, signal.SIGKILL)
    assert server.ended() == -signal.SIGKILL
    Folder.reopen(folder).close()
    assert not (folder / "lock").exists()


def test_a_signal_ends_a_run_after_a_state_and_it_goes_on_from_there(
    server: Server, never_stopped: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for phase, number, status in (("coarse", signal.SIGINT, 130), ("refine", signal.SIGTERM, 143)):
        pid = server.begin(folder)
        wait_for(folder / "resume" / f"{phase}-000001.safetensors")
        os.kill(pid, number)
        assert server.ended() == status
        assert not (folder / "result.json").exists()
    assert len(list((folder / "resume").glob("refine-*"))) > 1
    server.begin(folder)
    assert server.ended() == 0
    assert differences(content(folder), content(never_stopped)) == []


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, path
        time.sleep(0.002)


@pytest.fixture(scope="module")
def quick() -> Iterator[None]:
    """Short phases, and no report: it is made of the records that are compared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overfit, "MOST_STEPS", 60)
        patch.setattr(lr_range, "_grid", lambda *_: (1, 2, 30))
        patch.setattr(coarse, "coarse_plan", lambda *_: Plan(4, (10, 20, 40)))
        patch.setattr(refine, "refine_plan", lambda *_: Plan(4, (20, 40, 60)))
        patch.setattr(work, "write_report", lambda _folder: None)
        yield


@pytest.fixture(scope="module")
def steps(quick: None) -> Iterator[list[int]]:  # noqa: ARG001
    """Every step that a run takes, by number."""
    taken: list[int] = []
    follow = Run._follow_schedules

    def counted(run: Run) -> list[float]:
        taken.append(run.step)
        return follow(run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_follow_schedules", counted)
        yield taken


SPACE = {"optimizer": Choice(["adamw", "sgd"]), "lr": Log(1e-3, 1e-1)}


def arrays() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    draw = np.random.default_rng(0)
    y = draw.integers(0, 3, 200)
    return (draw.normal(size=(200, 4)) + 2 * np.eye(4)[y]).astype("float32"), y


def tuned(out: Path, watch: Fuse | None = None) -> ravine.Result:
    more: Any = {"settings": {"hidden": [8]}, "engine": "stacked", "watch": watch or Fuse()}
    return ravine.tune("mlp", arrays(), space=SPACE, trials=4, keep_going=True, out=out, **more)


@pytest.fixture(scope="module")
def whole(steps: list[int], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The folder of a run that did not go down, and how many steps it took."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    steps.clear()
    tuned(folder)
    return folder, len(steps)


@pytest.mark.parametrize(("where", "after"), [("overfit", 2), ("lr-range", 4), ("coarse", 3), ("refine", 2)])
def test_no_more_than_what_came_after_the_last_state_is_repeated(
    whole: tuple[Path, int], tmp_path: Path, steps: list[int], where: str, after: int
) -> None:
    folder, needed = whole
    steps.clear()
    with crashing():
        tuned(tmp_path / "cut", Fuse(where, after))
    ravine.resume(tmp_path / "cut", data=arrays(), watch=Fuse())
    assert needed <= len(steps) <= needed + 1  # the step after which it went down
    assert differences(content(folder), content(tmp_path / "cut")) == []


def test_a_damaged_state_falls_back_to_the_one_before_and_the_result_is_the_same(
    whole: tuple[Path, int], tmp_path: Path
) -> None:
    with crashing():
        tuned(tmp_path / "cut", Fuse("refine", 2))
    newest = max((tmp_path / "cut" / "resume").glob("refine-*"))
    newest.write_bytes(newest.read_bytes()[:-100])
    watch = Fuse()
    ravine.resume(tmp_path / "cut", data=arrays(), watch=watch)
    assert [note for note in watch.notes if f"{newest.name} is missing or damaged" in note]
    assert differences(content(whole[0]), content(tmp_path / "cut")) == []


def test_what_was_decided_at_a_rung_and_not_yet_reported_is_told_between_the_runs(
    whole: tuple[Path, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, told = Study.report, list[int]()

    def fails_at_the_sixth(self: Study, number: int, step: int, metrics: Metrics) -> None:
        told.append(number)
        if len(told) == 6:
            raise CrashError(f"trial {number} at step {step}")
        report(self, number, step, metrics)

    monkeypatch.setattr(Study, "report", fails_at_the_sixth)
    with crashing():
        tuned(tmp_path / "cut")
    ravine.resume(tmp_path / "cut", data=arrays(), watch=Fuse())
    assert differences(content(whole[0]), content(tmp_path / "cut")) == []


TRAININGS: dict[str, dict[str, Any]] = {
    "independent with patience": {"ensemble": "independent", "size": 3, "patience": 3},
    "snapshots": {"ensemble": "snapshots", "size": 2},
    "an average": {"average": "swa", "setting": {"schedule": "constant"}},
    "a plateau": {"setting": {"schedule": "plateau"}},
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("ways", "epochs"), list(zip(TRAININGS.values(), (4, 5, 6, 4), strict=True)), ids=TRAININGS)
def test_a_training_goes_on_with_its_members_its_average_and_its_patience(
    tmp_path: Path, ways: dict[str, Any], epochs: int
) -> None:
    def train(out: Path, watch: Fuse) -> None:
        more = {"settings": {"hidden": [8]}, "batch_size": 16, "engine": "stacked", "seed": 5}
        ravine.train("mlp", arrays(), epochs=8, out=out, watch=watch, **ways, **more)

    first, second = Fuse(), Fuse()
    train(tmp_path / "whole", first)
    with crashing():
        train(tmp_path / "cut", Fuse("train", epochs - 1))
    assert not (tmp_path / "cut" / "best").exists()
    ravine.resume(tmp_path / "cut", data=arrays(), watch=second)
    assert differences(content(tmp_path / "whole"), content(tmp_path / "cut")) == []
    assert second.notes == first.notes  # what an average came to is said, also where it is not chosen


@pytest.fixture
def cut(tmp_path: Path, quick: None) -> Path:  # noqa: ARG001 - it shortens the run
    """The folder of a training that went down in its second epoch."""
    x, y = arrays()
    rows = "\n".join(",".join(map(str, [*row, f"kind{label}"])) for row, label in zip(x.tolist(), y, strict=True))
    (tmp_path / "flowers.csv").write_text(f"a,b,c,d,kind\n{rows}\n")
    with crashing():
        ravine.train(
            "mlp",
            str(tmp_path / "flowers.csv"),
            target="kind",
            epochs=3,
            budget="1h",
            settings={"hidden": [8]},
            out=tmp_path / "cut",
            watch=Fuse("train", 1),
        )
    return tmp_path / "cut"


def test_data_that_have_changed_are_refused(cut: Path) -> None:
    table = cut.parent / "flowers.csv"
    whole = table.read_text()
    table.write_text(whole.replace("kind1", "kind2", 1))
    before = content(cut)
    with pytest.raises(DataError, match=r"does not hold the examples that the run in .*cut was begun with"):
        ravine.resume(cut)
    assert differences(content(cut), before) == []
    table.write_text(whole)
    assert ravine.resume(cut).best is not None


def test_data_that_moved_may_be_named_and_a_relative_path_is_found_from_anywhere(
    cut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((cut / "config.json").read_text())
    config["request"] |= {"data": "flowers.csv", "place": str(tmp_path)}
    (cut / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir("/")
    shutil.copytree(cut, tmp_path / "copy")
    found = [ravine.resume(cut)]
    (tmp_path / "flowers.csv").rename(tmp_path / "moved.csv")
    found.append(ravine.resume(tmp_path / "copy", data=str(tmp_path / "moved.csv")))
    for result in found:
        assert result.best is not None
        assert (
            f"--data {cut.parent / 'flowers.csv'} " in result.best.command
        )  # as it was written when the run was begun


def test_a_run_that_has_finished_is_not_touched_and_its_result_comes_back(cut: Path) -> None:
    done = ravine.resume(cut)
    before = {path: path.stat().st_mtime_ns for path in cut.rglob("*") if path.is_file()}
    again = ravine.resume(cut)
    assert (again.best, again.trials, again.out) == (done.best, done.trials, cut)
    assert {path: path.stat().st_mtime_ns for path in cut.rglob("*") if path.is_file()} == before
    assert not (cut / "resume").exists()


def test_the_time_that_was_spent_counts(cut: Path) -> None:
    progress = json.loads((cut / "resume" / "progress.json").read_text())
    (cut / "resume" / "progress.json").write_text(json.dumps({**progress, "spent": 1234.0}))
    assert 1234 < ravine.resume(cut).seconds < 1300


def test_what_no_folder_holds_must_be_given_again(tmp_path: Path, quick: None) -> None:  # noqa: ARG001
    x, y = arrays()
    with crashing():
        more: Any = {"test": (x[:20], y[:20]), "epochs": 3, "out": tmp_path / "cut", "watch": Fuse("train", 0)}
        ravine.train(lambda shape, outputs: mlp(shape, outputs, hidden=(8,)), (x, y), **more)
    with pytest.raises(DataError, match=r"write ravine\.resume\(DIR, data=\(x, y\)\)"):
        ravine.resume(tmp_path / "cut")
    with pytest.raises(DataError, match=r"write ravine\.resume\(DIR, test=\(x, y\)\)"):
        ravine.resume(tmp_path / "cut", data=(x, y))
    with pytest.raises(ModelError, match=r"write ravine\.resume\(DIR, make_model=\.\.\.\)"):
        ravine.resume(tmp_path / "cut", data=(x, y), test=(x[:20], y[:20]))
    make: Callable[..., torch.nn.Module] = lambda shape, outputs: mlp(shape, outputs, hidden=(8,))  # noqa: E731
    assert ravine.resume(tmp_path / "cut", data=(x, y), test=(x[:20], y[:20]), make_model=make).best is not None


@pytest.mark.parametrize("content", [None, "{}", "[]", '{"request": {"work": "tune"}}', "half a li"])
def test_a_folder_without_a_run_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
        (tmp_path / "resume").mkdir()
    with pytest.raises(FolderError, match="no run was begun there" if content is None else r"config\.json") as caught:
        ravine.resume(tmp_path)
    assert "\n" not in str(caught.value)

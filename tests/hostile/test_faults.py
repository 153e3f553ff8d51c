"""Faults put into a run from outside: a full disk at every write, a folder that is read-only, a clock set back, SIGTERM in each
step, memory that runs out, a library that is gone.

What must be lost is nothing: the folder stays readable, goes on to the result of a run that met no fault, and one line says what
happened. That a run may be killed at any moment is tested in tests/recipe/test_resume.py.
"""

from __future__ import annotations

import datetime
import errno
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.recipe.runs import SERVER, TUNE, Server, content, differences

import ravine
from ravine.api import work
from ravine.cli import main
from ravine.errors import FolderError, WriteError
from ravine.reports import write_report
from ravine.search import Choice, Log
from ravine.training import Run

Train = Callable[[Path], Any]


@pytest.fixture
def train(flowers: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """A short training, without the report: it is made of the records that are compared."""
    monkeypatch.setattr(work, "write_report", lambda _folder: None)
    more: dict[str, Any] = {
        "target": "kind",
        "epochs": 2,
        "settings": {"hidden": [4]},
        "ensemble": "snapshots",
        "size": 2,
    }
    return lambda out: ravine.train("mlp", str(flowers), **more, engine="stacked", seed=1, out=out)


@pytest.fixture
def search(flowers: Path) -> Train:
    """A short search with everything that a run folder may hold."""
    space = {"lr": Log(1e-3, 1e-1), "optimizer": Choice(["sgd"])}
    more: dict[str, Any] = {
        "target": "kind",
        "trials": 4,
        "epochs": 4,
        "known": False,
        "settings": {"hidden": [4]},
        "seed": 1,
    }
    return lambda out: ravine.run_search("mlp", str(flowers), space=space, engine="stacked", out=out, **more)


# --- a full disk


class Disk:
    """Write number `full` and all after it are refused, until it is emptied. `os.fsync` and `os.replace` are what is counted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count, self.full = 0, sys.maxsize
        for name in ("fsync", "replace"):
            monkeypatch.setattr(os, name, self._counted(getattr(os, name)))

    def _counted(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def write(*given: Any, **more: Any) -> Any:
            self.count += 1
            if self.count > self.full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*given, **more)

        return write


def refusal_of(work: Train, out: Path) -> str:
    """What a run that cannot be written says; "" where it ends."""
    try:
        work(out)
    except WriteError as error:
        return str(error)
    return ""


def test_a_disk_that_is_full_at_any_write_costs_nothing(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path / "whole")
    disk = Disk(monkeypatch)
    train(tmp_path / "counted")
    writes, refused = disk.count, 0
    assert writes > 20
    for full in range(writes):
        out = tmp_path / f"run-{full}"
        disk.count, disk.full = 0, full
        said = refusal_of(train, out)
        refused += bool(said)
        assert said == "" or said.startswith("no space left while writing")
        assert "\n" not in said
        disk.full = sys.maxsize
        if (out / "config.json").exists():
            ravine.resume(out)
        else:
            train(out)  # nothing was begun, and the name is free
        assert differences(content(tmp_path / "whole"), content(out)) == [], full
        assert list(out.rglob("*.partial")) == []
        shutil.rmtree(out)
    assert refused > writes / 2


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A small disk of its own, in memory: (options of mount) -> its folder; called again, it is mounted anew with others."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        words = ["mount", "-t", "tmpfs", "-o", options, "none", str(place)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"this user may not mount a disk: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)


@pytest.mark.skipif(shutil.which("mount") is None, reason="needs mount")
def test_a_disk_that_is_really_full_costs_nothing(
    search: Train, mounted: Callable[[str], Path], tmp_path: Path
) -> None:
    """SQLite, Parquet, safetensors and the page each meet it in their own way."""
    search(tmp_path / "whole")
    whole = content(tmp_path / "whole")
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.suffix != ".html")
    for share in (0.05, 0.6, 1.0):
        place = mounted(f"size={int(share * size) // 4096 * 4096 + 4096}")
        with pytest.raises(FolderError) as refusal:  # the page alone has four megabytes
            search(place / "run")
        assert "\n" not in str(refusal.value)
        mounted("remount,size=100m")
        if (place / "run" / "config.json").exists():
            ravine.resume(place / "run")
            write_report(place / "run")
        else:
            search(place / "run")
        assert differences(whole, content(place / "run")) == [], share
        subprocess.run(["umount", "--lazy", str(place)], check=True)


# --- read-only


def test_a_read_only_folder_is_read_and_a_write_into_it_is_one_line(
    small_run: Path, mounted: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    if os.geteuid() == 0:  # whom permissions do not bind
        folder = mounted("size=100m") / "run"
        shutil.copytree(small_run, folder)
        mounted("remount,ro")
    else:
        shutil.copytree(small_run, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        before = content(folder)
        assert ravine.load(folder).task == "classification"
        assert ravine.evaluate(folder)["best"]
        for words in (["report"], ["resume"], ["inspect"]):
            assert main([*words, str(folder)]) == 2
            said = capsys.readouterr().err
            assert said.splitlines()[-1].startswith("ravine: ")
            assert "Traceback" not in said
        assert main(["train", "--data", "digits", "--epochs", "1", "--out", str(folder / "new")]) == 2
        assert "cannot write" in capsys.readouterr().err
        assert content(folder) == before
    finally:
        if os.geteuid():
            for path in (folder, *folder.rglob("*")):
                path.chmod(0o755)


# --- the clock


def test_a_clock_that_is_set_back_changes_nothing(
    search: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "write_report", lambda _folder: None)
    search(tmp_path / "whole")
    now = [datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)]

    class Backwards(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            now[0] -= datetime.timedelta(hours=1)
            return now[0].astimezone(tz) if tz else now[0].replace(tzinfo=None)

    monkeypatch.setattr(time, "time", lambda: Backwards.now().timestamp())
    monkeypatch.setattr("optuna.storages._rdb.storage.datetime", Backwards)
    monkeypatch.setattr("ravine.recipe.folder.datetime.datetime", Backwards)
    search(tmp_path / "back")
    assert now[0].year == 2029
    assert differences(content(tmp_path / "whole"), content(tmp_path / "back")) == []


# --- a signal in each step

AT_STEP = """
from ravine.cli.main import _terminable
from ravine.recipe.session import Silent
import signal


class AtStep(Silent):
    def __init__(self, step):
        self.step = step

    def begin(self, step):
        if step == self.step:
            os.kill(os.getpid(), signal.SIGTERM)


begin = work


def work(folder):
    global more_watch
    more_watch = AtStep(open(f"{folder}.step").read())
    with _terminable():
        if os.path.exists(f"{folder}/config.json"):
            return api.resume(folder, watch=more_watch)
        return begin(folder)


for line in sys.stdin:
"""

STEPS = ("initial-loss", "overfit", "lr-range", "coarse", "refine", "curves")


def test_sigterm_in_every_step_ends_in_order_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run, ended as it begins each of its steps and gone on with each time."""
    monkeypatch.setattr("tests.recipe.runs.SERVER", SERVER.replace("for line in sys.stdin:\n", AT_STEP))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with Server(TUNE.replace("**more", "watch=more_watch, **more")) as server:
        for folder, step, status in ((whole, "", 0), *((cut, step, 143) for step in STEPS), (cut, "", 0)):
            Path(f"{folder}.step").write_text(step)
            server.begin(folder)
            assert server.ended() == status, step
            assert not (folder / "lock").exists(), step
            assert (folder / "result.json").exists() == (status == 0), step
        assert differences(content(whole), content(cut)) == []
    assert server.errors == ""


# --- memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"),
    ],
    ids=["GPU", "Python", "CPU"],
)
def test_memory_that_runs_out_in_a_training_is_one_line_and_the_run_goes_on(
    train: Train,
    flowers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    train(tmp_path / "whole")
    capsys.readouterr()
    advance, calls = Run.advance, [0]

    def scarce(run: Run, *given: Any, **more: Any) -> Any:
        calls[0] += 1
        if calls[0] == 2:
            raise error
        return advance(run, *given, **more)

    monkeypatch.setattr(Run, "advance", scarce)
    words = f"train --data {flowers} --target kind --epochs 2 --set hidden=4, --ensemble snapshots --size 2 --seed 1 --out {tmp_path}/cut"
    assert main(words.split()) == 1
    said = capsys.readouterr()
    assert said.out == ""
    last = said.err.splitlines()[-1]
    assert last.startswith("ravine: memory ran out")
    assert f"ravine resume {tmp_path}/cut" in last
    assert "Traceback" not in said.err
    monkeypatch.setattr(Run, "advance", advance)
    ravine.resume(tmp_path / "cut")
    one, other = content(tmp_path / "whole"), content(tmp_path / "cut")
    assert set(differences(one, other)) <= {"config.json", "result.json"}  # they hold the command


# --- a library that is gone


@pytest.mark.parametrize(
    ("missing", "words", "said"),
    [
        (["ray"], "search --data TABLE --target kind --workers ray", "pip install 'ravine[ray]'"),
        (
            ["psycopg"],
            "search --data TABLE --target kind --storage postgresql+psycopg://u@localhost/d",
            "pip install 'ravine[postgres]'",
        ),
        (
            ["torch.utils.tensorboard", "tensorboard"],
            "train --data TABLE --target kind --tensorboard",
            "pip install 'ravine[dashboard]'",
        ),
        (["kaleido"], "landscape --surface ravine50 --lr 0.01 --out x.png", "pip install 'ravine[pictures]'"),
        (["lightning_fabric"], "train --data TABLE --target kind --accumulate 2", "pip install 'ravine[fabric]'"),
    ],
)
def test_an_optional_library_that_is_missing_is_named_with_what_to_install(
    flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    missing: list[str], words: str, said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in missing:
        for module in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)
    assert main(words.replace("TABLE", str(flowers)).split()) == 2
    answer = capsys.readouterr()
    assert said in answer.err
    assert answer.err.strip().count("\n") == 0
    assert not (tmp_path / "runs").exists()


def test_a_library_that_ravine_needs_is_named_when_it_is_missing(tmp_path: Path) -> None:
    missing = "pyarrow"
    script = f"import sys\nsys.modules[{missing!r}] = None\nfrom ravine.cli import main\nsys.exit(main(sys.argv[1:]))"
    words = [sys.executable, "-c", script, "train", "--data", "digits"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert f"ravine: {missing} cannot be imported" in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_what_was_learnt_is_kept_where_the_report_cannot_be_made(
    flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(_folder: Path) -> None:
        raise ModuleNotFoundError("No module named 'plotly'", name="plotly")

    monkeypatch.setattr(work, "write_report", gone)
    assert main(f"train --data {flowers} --target kind --epochs 1 --out {tmp_path}/run".split()) == 2
    assert "plotly cannot be imported" in capsys.readouterr().err
    assert ravine.load(tmp_path / "run").task == "classification"
    monkeypatch.undo()
    assert main(["report", str(tmp_path / "run")]) == 0

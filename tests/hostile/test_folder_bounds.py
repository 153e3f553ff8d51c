"""What lies in a run folder cannot lead out of it, and what its records hold is checked before it is used."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import ravine
from ravine.cli import main
from ravine.errors import FolderError
from ravine.reports import write_report
from ravine.training import read_snapshot, write_snapshot
from ravine.training.files import check_contained
from ravine.training.snapshots import _digest

Changed = Callable[[Path, Callable[[dict[str, Any]], object]], None]

DOORS: dict[str, Callable[[Path], object]] = {
    "load": ravine.load,
    "evaluate": ravine.evaluate,
    "inspect": ravine.inspect,
    "resume": ravine.resume,
    "report": write_report,
}


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_run, tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", ["best/model.safetensors", "history", "study.db", "lock", "resume", "deep/er/x.json"])
def test_a_link_out_of_the_folder_is_refused(run: Path, tmp_path: Path, door: str, name: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "kept").write_text("precious")
    path = run / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(tmp_path / "outside" if name in ("history", "resume") else tmp_path / "outside" / "kept")
    with pytest.raises(FolderError, match=f"a link that leads out of it, {name}"):
        DOORS[door](run)
    assert [(each.name, each.read_text()) for each in (tmp_path / "outside").iterdir()] == [("kept", "precious")]


def test_a_link_within_the_folder_and_one_to_the_folder_are_followed(run: Path, tmp_path: Path) -> None:
    (run / "history").rename(run / "curves")
    (run / "history").symlink_to("curves")
    (tmp_path / "link").symlink_to(run)
    write_report(tmp_path / "link")
    assert ravine.evaluate(tmp_path / "link")["best"]


def test_a_pipe_is_refused_and_not_waited_for(run: Path) -> None:
    (run / "best" / "model.json").unlink()
    os.mkfifo(run / "best" / "model.json")
    with pytest.raises(FolderError, match=r"best/model\.json, which is neither a file nor a folder"):
        ravine.load(run)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "..", ".", "", "a/b", "a\0b", "trial-00000/../x"])
def test_a_member_of_an_ensemble_is_a_name_of_this_folder(run: Path, changed: Changed, name: str) -> None:
    changed(run / "ensemble.json", lambda found: found.update(members=[name], weights=[1.0]))
    with pytest.raises(FolderError, match=r"ensemble\.json is damaged"):
        ravine.load(run, ensemble=True)


def test_ten_thousand_members_are_not_loaded(run: Path, changed: Changed) -> None:
    one = json.loads((run / "ensemble.json").read_text())["members"][0]
    changed(run / "ensemble.json", lambda found: found.update(members=[one] * 10_000, weights=[1.0] * 10_000))
    with pytest.raises(FolderError, match=r"ensemble\.json is damaged"):
        ravine.load(run, ensemble=True)


@pytest.mark.parametrize(
    "record",
    [
        "[]",
        "{}",
        "null",
        '{"best": 3}',
        '{"steps": 1}',
        "[" * 5000,
        '{"best": {"trial": "x"}, "steps": []}',
        '"a"',
        "1e999",
    ],
)
def test_a_result_of_any_shape_is_damage(run: Path, record: str, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "result.json").write_text(record)
    assert main(["resume", str(run)]) == 2
    said = capsys.readouterr().err
    assert "result.json is damaged" in said
    assert said.strip().count("\n") == 0


# --- states


def forged(path: Path, plain: Any, tensors: dict[str, torch.Tensor]) -> Path:
    """A state as a stranger would make it: the checksum is that of its content."""
    text = json.dumps(plain)
    save_file(tensors, path, {"plain": text, "sha256": _digest(text, tensors)})
    return path


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        ([1, 2], "TypeError"),
        ({"w": {"#tensor": "gone"}}, "KeyError: 'gone'"),
        ({"w": {"#dtype": "load"}}, "load is no dtype"),
        ({"w": {"#dtype": "__dict__"}}, "is no dtype"),
        ({"w": {"#dtype": 3}}, "TypeError"),
        ({"w": {"#tensor": "t", "strides": [10**12, 1]}}, "more memory than is free"),
        ({"w": {"#tensor": "t", "strides": [0, 0]}}, "do not lay out"),
        ({"w": {"#tensor": "t", "strides": [-3, 1]}}, "do not lay out"),
        ({"w": {"#tensor": "t", "strides": "ab"}}, "TypeError"),
        ({"w": {"#tensor": "t", "strides": [1]}}, "ValueError"),
    ],
)
def test_a_forged_state_is_damage(tmp_path: Path, plain: Any, said: str) -> None:
    path = forged(tmp_path / "s.safetensors", plain, {"t": torch.ones(2, 3)})
    with pytest.raises(FolderError, match=said):
        read_snapshot(path)


def test_strides_with_gaps_come_back(tmp_path: Path) -> None:
    wide = torch.arange(12.0).reshape(3, 4)
    write_snapshot(tmp_path / "s.safetensors", {"part": wide[:, :2], "turned": wide.T})
    found = read_snapshot(tmp_path / "s.safetensors")
    assert torch.equal(found["part"], wide[:, :2])
    assert found["turned"].stride() == wide.T.stride()


def test_a_state_of_another_training_is_said_to_be_damaged(small_run: Path, tmp_path: Path, flowers: Path) -> None:
    """Whole, but not what this run wrote: what restoring it raises is one line."""
    shutil.copytree(small_run, tmp_path / "run")
    (tmp_path / "run" / "resume").mkdir()
    for name in ("result.json", "report.html"):
        (tmp_path / "run" / name).unlink()
    for number, state in enumerate(({}, {"run": {"step": 3}, "history": {}, "waiting": 1}), 1):
        write_snapshot(tmp_path / "run" / "resume" / f"train-{number:06d}.safetensors", {"a": 1} | state)
        with pytest.raises(FolderError, match=r"the state of train in .* is damaged or of another version"):
            ravine.resume(tmp_path / "run", data=str(flowers))


def test_a_file_that_a_run_at_work_moves_meanwhile_is_nothing_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("")
    seen = list(os.walk(tmp_path))
    (tmp_path / "state").unlink()
    monkeypatch.setattr(os, "walk", lambda _: seen)
    check_contained(tmp_path)

"""Writing whole files or none: an error in the middle, a full disk, a folder that is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ravine.errors import FolderError
from ravine.training import read_json, write_atomically, write_json


def refusal(work: object, *args: object) -> str:
    """The one line of the FolderError that work(*args) raises."""
    with pytest.raises(FolderError) as caught:
        work(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_error_while_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_text("old")

    def breaks(partial: Path) -> None:
        partial.write_text("half")
        raise KeyError("broken")

    with pytest.raises(KeyError, match="broken"):
        write_atomically(path, breaks)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]


def test_a_whole_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = write_atomically(tmp_path / "new" / "folder" / "file", lambda partial: partial.write_text("new"))
    assert path.read_text() == "new"
    write_atomically(path, lambda partial: partial.write_text("newer"))
    assert path.read_text() == "newer"
    assert [each.name for each in path.parent.iterdir()] == ["file"]


FULL = """
import resource, sys
from pathlib import Path
import torch
from ravine.data import from_arrays
from ravine.engines import StepRecord
from ravine.errors import FolderError
from ravine.models import Model, mlp
from ravine.training import History, Run, Setting, save_model, write_json

folder = Path(sys.argv[1])
x = torch.randn(60, 50)
data = from_arrays(x, (torch.arange(60) % 2).numpy())
model = Model("mlp", mlp, data.input_shape, 2, {})
run = Run(data, model, [Setting()], steps=1)
run.evaluate()
history = History()
for step in range(4000):
    history.step([0], step, [0.1], StepRecord(*torch.rand(3, 1)))
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
for work in (
    lambda: write_json(folder / "record.json", ["x"] * 2000),
    lambda: history.write(folder),
    lambda: save_model(folder / "model", run.best[0], model, data.task, data.preprocessing),
):
    try:
        work()
    except FolderError as error:
        print(error)
"""


def test_a_full_disk_is_said_in_one_line_for_json_parquet_and_weights(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text('"old"')
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    names = ["record.json", "steps.parquet", "model.safetensors"]
    assert [line.split(":")[0] for line in lines] == [
        f"no space left while writing {tmp_path / name}" for name in names
    ]
    assert [each.name for each in tmp_path.iterdir()] == ["record.json"]
    assert read_json(tmp_path / "record.json") == "old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_device_without_room_is_said_in_one_line(tmp_path: Path) -> None:
    def fills(partial: Path) -> None:
        partial.symlink_to("/dev/full")
        partial.write_text("x" * 100_000)

    assert "no space left while writing" in refusal(write_atomically, tmp_path / "record.json", fills)
    assert not os.listdir(tmp_path)


def test_a_folder_that_is_a_file_or_a_target_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "record.json", tmp_path / "folder"):
        assert f"cannot write {path}: " in refusal(write_json, path, {})
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "folder"]


def test_json_comes_back_as_it_was_and_what_is_not_finite_as_null(tmp_path: Path) -> None:
    record = {"a": [1, 2.5, float("nan")], "b": (float("inf"), "ü", None, True), 3: -float("inf")}
    path = write_json(tmp_path / "record.json", record)
    assert read_json(path) == {"a": [1, 2.5, None], "b": [None, "ü", None, True], "3": None}
    assert json.loads(path.read_text()) == read_json(path)


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    assert f"there is no {tmp_path / 'record.json'}" in refusal(read_json, tmp_path / "record.json")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000], ids=["empty", "cut", "bytes", "deep", "long"]
)
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "record.json").write_bytes(content)
    assert f"{tmp_path / 'record.json'} is damaged" in refusal(read_json, tmp_path / "record.json")

"""The rows of a finished run found again, and other rows never taken for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import ravine
from ravine.errors import DataError, FolderError, SettingError
from ravine.recipe.reopen import read_run_record, reopened


@pytest.fixture(scope="module")
def csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    draw = torch.Generator().manual_seed(0)
    path = tmp_path_factory.mktemp("data") / "flowers.csv"
    petals = 4.0 * (torch.arange(80) % 2) + torch.randn(80, generator=draw)
    rows = [f"{petal:.4f},{k % 3},{['iris', 'rose'][k % 2]}" for k, petal in enumerate(petals.tolist())]
    path.write_text("\n".join(["petal,bed,kind", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def run(csv: Path) -> Path:
    out = csv.parent / "run"
    ravine.train(
        "mlp", str(csv), target="kind", categorical=("bed",), epochs=1, settings={"hidden": [4]}, seed=5, out=out
    )
    return out


def test_the_rows_are_those_the_run_trained_and_chose_on(run: Path, csv: Path) -> None:
    record, predictor = read_run_record(run), ravine.load(run)
    data = ravine.data.load(str(csv), target="kind", categorical=("bed",), seed=5)
    for split, wanted in (("train", data.train), ("validation", data.validation)):
        found = reopened(record, predictor, split=split)
        rows = torch.arange(len(wanted))
        assert (found.name, found.notes) == (split, ())
        assert torch.equal(found.rows.batch(rows)[0], wanted.batch(rows)[0])


def test_data_that_were_moved_are_known_by_their_fingerprint(run: Path, csv: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere.csv"
    moved.write_bytes(csv.read_bytes())
    found = reopened(read_run_record(run), ravine.load(run), str(moved))
    assert (found.name, found.notes) == ("train", ())


def test_other_rows_are_read_in_the_models_layout_and_the_notes_say_so(run: Path, csv: Path, tmp_path: Path) -> None:
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("".join(csv.read_text().splitlines(keepends=True)[:21]))
    found = reopened(read_run_record(run), ravine.load(run), str(fewer))
    assert found.name == "fewer.csv"
    assert len(found.rows) == 20
    assert "holds other examples than the run was trained on" in found.notes[0]


def test_data_that_changed_in_their_place_are_refused(run: Path) -> None:
    record = read_run_record(run)
    changed = record.model_copy(update={"data": record.data.model_copy(update={"fingerprint": "0" * 64})})
    with pytest.raises(DataError, match="no longer holds the examples"):
        reopened(changed, ravine.load(run))


def test_arrays_must_be_given_again_and_be_the_same(tmp_path: Path) -> None:
    draw = torch.Generator().manual_seed(1)
    x, y = torch.randn(60, 3, generator=draw), (torch.arange(60) % 2).numpy()
    ravine.train("mlp", (x, y), epochs=1, settings={"hidden": [4]}, out=tmp_path / "run")
    record, predictor = read_run_record(tmp_path / "run"), ravine.load(tmp_path / "run")
    with pytest.raises(DataError, match="arrays of a Python program"):
        reopened(record, predictor)
    assert len(reopened(record, predictor, (x, y)).rows) == record_size(tmp_path / "run")
    with pytest.raises(DataError, match="other examples"):
        reopened(record, predictor, (x + 1, y[::-1].copy()))


def record_size(run: Path) -> int:
    return int(json.loads((run / "config.json").read_text())["data"]["sizes"]["train"])


def test_an_unknown_split_is_answered_with_the_known_ones(run: Path) -> None:
    with pytest.raises(SettingError, match="split is 'tset'; known: train, validation"):
        reopened(read_run_record(run), ravine.load(run), split="tset")


def test_a_damaged_config_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"data": {"name": "digits"}}')
    with pytest.raises(FolderError, match=r"config.json is damaged \(data.task: field required\)"):
        read_run_record(tmp_path)

"""`ravine export`: a run folder in, one file and one line out."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tests.cli.conftest import Ravine
from tests.cli.test_bad_input import refused

import ravine as library


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """The folder of two models of the flowers, trained for a moment."""
    out = tmp_path_factory.mktemp("trained") / "run"
    library.train(
        "mlp", str(table), target="kind", epochs=2, settings={"hidden": [8]}, ensemble="independent", size=2, out=out
    )
    return out


def test_a_run_becomes_one_file_and_a_line_says_how_near_it_is(ravine: Ravine, trained: Path) -> None:
    answer = ravine("export", trained, "--format", "pt2", "--out", "flowers.pt2")
    assert answer.status == 0, answer.err
    assert answer.out.startswith("flowers.pt2: ")
    assert "1, 2, 7, 64 examples differ from the model's by at most" in answer.out
    module = torch.export.load("flowers.pt2").module()
    assert module(torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)).shape == (1, 2)


def test_the_record_is_json_and_the_ensemble_has_its_own_file(ravine: Ravine, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    answer = ravine("export", "run", "--format", "torchscript", "--ensemble", "--json")
    record = json.loads(answer.out)
    assert record["path"] == "run/export/ensemble.pt"
    assert Path(record["path"]).is_file()
    assert record["difference"] < 1e-5
    assert record["description"]["classes"] == ["iris", "rose"]
    refused(
        ravine("export", "run", "--format", "torchscript", "--ensemble"), "ensemble.pt is written already.*--overwrite"
    )
    assert ravine("export", "run", "--format", "torchscript", "--ensemble", "--overwrite").status == 0


def test_what_is_asked_wrongly_is_refused(ravine: Ravine, trained: Path, tmp_path: Path) -> None:
    refused(ravine("export", trained, "--format", "onx"), "format 'onx' is not known; did you mean onnx")
    refused(ravine("export", "nowhere"), "there is no folder nowhere")
    refused(ravine("export", tmp_path), "there is no .*model.json")
    refused(ravine("export"), "Missing argument.*DIR")

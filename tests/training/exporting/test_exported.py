"""Exported files: what the format's own runtime answers, without Ravine, is what the model answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.data import Data, from_arrays
from ravine.data import load as load_data
from ravine.errors import FolderError, InputError, ModelError, SettingError
from ravine.models import MODELS, Factory, Model, mlp
from ravine.training import Kept, Run, Setting, exporting, load, save_members, save_model
from ravine.training.exporting import FORMATS

READING = Path(exporting.__file__).with_name("reading.py")


def saved(folder: Path, data: Data, factory: Factory = mlp, name: str = "mlp", **settings: Any) -> Path:
    """A run folder with two models trained for a moment: the best, and both as an ensemble."""
    model = Model(
        name, factory, data.input_shape, data.outputs, settings or ({"hidden": [7]} if factory is mlp else {})
    )
    run = Run(data, model, [Setting(batch_size=16, seed=k, lr=0.01) for k in range(2)], steps=12)
    run.advance(12)
    run.evaluate()
    kept: list[Kept] = list(run.best.values())
    for k, one in enumerate(kept):
        save_model(folder / "checkpoints" / f"trial-{k}", one, model, data.task, data.preprocessing)
    save_model(folder / "best" / "model", kept[0], model, data.task, data.preprocessing)
    save_members(folder, "greedy", ["trial-0", "trial-1"], [1, 2])
    return folder


def untrained(folder: Path, data: Data, factory: Factory, name: str) -> Path:
    """A run folder whose best model is a fresh one."""
    model = Model(name, factory, data.input_shape, data.outputs)
    kept = Kept(0, Setting(), 1, 1, {}, model.build(0).state_dict())
    save_model(folder / "best" / "model", kept, model, data.task, data.preprocessing)
    return folder


ROWS = [
    {"seen": 1.6e9 + 40, "town": "Ulm", "floors": "2", "heated": True},
    {"seen": float("nan"), "town": "Bonn", "floors": "1", "heated": False},
    {"seen": 1.6e9 - 7, "town": None, "floors": "3", "heated": True},
    {"seen": 1.6e9, "town": "Paris", "floors": "n/a", "heated": None},
    {"seen": 1.6e9 + 1, "town": " Köln ", "floors": "2.0", "heated": False},
]
"""A large offset, missing cells, towns that training did not know, and a number written otherwise."""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of a CSV with numbers, texts and missing cells."""
    draw, place = np.random.default_rng(0), tmp_path_factory.mktemp("table")
    frame = pd.DataFrame(
        {
            "seen": 1.6e9 + 50 * draw.normal(size=120),
            "town": draw.choice(["Ulm", "Bonn", "Köln"], 120),
            "floors": draw.integers(1, 4, 120),
            "heated": draw.choice([True, False], 120),
            "kind": draw.choice(["flat", "house"], 120),
        }
    )
    frame = frame.astype({"heated": object})
    frame.loc[::9, ["seen", "town"]] = None
    frame.loc[::11, "heated"] = None
    frame.to_csv(place / "homes.csv", index=False)
    data = load_data(str(place / "homes.csv"), target="kind", categorical=["floors"])
    return saved(place / "run", data)


ELSEWHERE = """
import json, sys, warnings
import numpy as np
place, reading, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
exec(open(reading, encoding="utf-8").read())
import onnxruntime
session = onnxruntime.InferenceSession(f"{place}/best.onnx", providers=["CPUExecutionProvider"])
description = json.loads(session.get_modelmeta().custom_metadata_map["ravine.json"])
x = table_rows(description, rows)
answers = {"onnx": session.run(None, {"x": x})[0]}
import torch
extra = {"ravine.json": ""}
warnings.simplefilter("ignore")
answers["torchscript"] = torch.jit.load(f"{place}/best.pt", _extra_files=extra)(torch.from_numpy(x)).numpy()
assert json.loads(extra["ravine.json"]) == description
extra = {"ravine.json": ""}
program = torch.export.load(f"{place}/best.pt2", extra_files=extra).module()
answers["pt2"] = program(torch.from_numpy(x)).numpy()
assert json.loads(extra["ravine.json"]) == description
assert not [name for name in sys.modules if name.partition(".")[0] == "ravine"]
print(json.dumps({"classes": description["classes"], **{name: each.tolist() for name, each in answers.items()}}))
"""


def test_a_process_without_ravine_gets_the_models_answers_from_a_raw_table(table: Path) -> None:
    done = [ravine.export(table, format=name) for name in FORMATS]
    assert max(one.difference for one in done) < 1e-6
    words = [sys.executable, "-I", "-c", ELSEWHERE, str(table / "export"), str(READING), json.dumps(ROWS)]
    answered = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert answered.returncode == 0, answered.stderr
    found = json.loads(answered.stdout)
    wanted = load(table).predict_proba(pd.DataFrame(ROWS))
    assert abs(wanted[0] - wanted[1:]).max(1).min() > 1e-4  # the rows are told apart
    assert found["classes"] == ["flat", "house"]
    for name in FORMATS:
        assert np.array(found[name]) == pytest.approx(wanted, abs=1e-6), name


def test_the_description_names_columns_categories_and_classes(table: Path) -> None:
    description = ravine.export(table, format="torchscript", out=table / "again.pt").description
    assert description["classes"] == ["flat", "house"]
    assert [each["name"] for each in description["input"]["columns"]] == ["seen", "town", "floors", "heated"]
    assert description["input"]["columns"][1]["categories"] == ["Bonn", "Köln", "Ulm", "missing"]
    assert description["input"]["shape"] == ["batch", 4]
    assert description["output"] == {"name": "probabilities", "dtype": "float32", "shape": ["batch", 2]}


def test_rows_are_coded_as_training_coded_them(table: Path) -> None:
    from ravine.training.exporting.description import described
    from ravine.training.exporting.raw_model import prepares

    best = load(table)
    rows = exporting.table_rows(described(best, False), ROWS)
    wanted = best.preprocessing.to_tensor(pd.DataFrame(ROWS))
    torch.testing.assert_close(prepares(best.preprocessing)(torch.from_numpy(rows)), wanted, rtol=0, atol=0)
    with pytest.raises(ValueError, match="tall"):
        exporting.table_rows(described(best, False), [{**ROWS[0], "seen": "tall"}])


def test_the_rarer_categories_share_their_place() -> None:
    from ravine.data import TablePreprocessing, Target
    from ravine.data.columns import CategoricalColumn
    from ravine.training.exporting.raw_model import prepares

    column = CategoricalColumn(name="town", categories=("Bonn", "Ulm"), rest=True)
    prepare = prepares(TablePreprocessing(target=Target(classes=("a", "b")), columns=(column,)))
    codes = torch.tensor([[1.0], [-1.0], [0.0], [float("nan")], [2.0]], dtype=torch.float64)
    assert prepare(codes).tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 0, 1]]


def test_digits_are_answered_by_onnx_runtime_for_any_number_of_them(tmp_path: Path) -> None:
    import onnxruntime

    data = load_data("digits")
    done = ravine.export(saved(tmp_path / "run", data), format="onnx")
    session = onnxruntime.InferenceSession(str(done.path), providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(double)"
    pixels = np.random.default_rng(0).integers(0, 17, (33, 1, 8, 8)).astype(float)
    for count in (1, 33):
        (found,) = session.run(["probabilities"], {"x": pixels[:count]})
        assert found == pytest.approx(load(tmp_path / "run").predict_proba(pixels[:count]), abs=1e-6)


def convolutions(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
    """With batch norm, whose statistics a graph must take along."""
    return nn.Sequential(
        nn.Conv2d(input_shape[0], 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, outputs),
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of coloured images, by a factory that no record can name."""
    draw = np.random.default_rng(1)
    data = from_arrays(draw.integers(0, 256, (80, 3, 9, 9), dtype=np.uint8), np.arange(80) % 2, task="classification")
    return saved(tmp_path_factory.mktemp("images") / "run", data, convolutions, "")


@pytest.mark.parametrize("format", ["onnx", "pt2"])
def test_bytes_of_images_go_through_batch_norm_as_in_the_model(images: Path, format: str) -> None:  # noqa: A002
    done = ravine.export(images, format=format, make_model=convolutions)
    assert done.difference < 1e-5
    assert done.description["input"]["dtype"] == "uint8"
    answer, _ = FORMATS[format].read(done.path.read_bytes())
    pixels = np.random.default_rng(2).integers(0, 256, (5, 3, 9, 9), dtype=np.uint8)
    wanted = load(images, make_model=convolutions).predict_proba(pixels)
    assert answer(torch.from_numpy(pixels)).numpy() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("format", ["torchscript", "pt2"])
@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_the_models_of_the_house_have_a_graph(tmp_path: Path, name: str, format: str) -> None:  # noqa: A002
    draw = np.random.default_rng(4)
    data = from_arrays(draw.random((40, 1, 8, 8)), np.arange(40) % 2, task="classification")
    done = ravine.export(untrained(tmp_path / "run", data, MODELS[name], name), format=format)
    assert done.difference < 1e-5


def test_numbers_come_out_in_units_of_the_target(tmp_path: Path, numbers: Data) -> None:
    done = ravine.export(saved(tmp_path / "run", numbers), format="pt2", out=tmp_path / "deep" / "model.pt2")
    module = torch.export.load(done.path).module()
    x = 3 * np.random.default_rng(3).normal(size=(9, 4))
    found = module(torch.from_numpy(x)).numpy()
    assert found.dtype == np.float64
    assert found == pytest.approx(load(tmp_path / "run").predict(x), rel=1e-5)
    assert done.description["output"]["name"] == "predictions"


def test_an_ensemble_is_exported_with_its_weights(table: Path) -> None:
    done = ravine.export(table, format="torchscript", ensemble=True)
    assert done.path.name == "ensemble.pt"
    answer, description = FORMATS["torchscript"].read(done.path.read_bytes())
    x = torch.from_numpy(exporting.table_rows(description, ROWS))
    frame = pd.DataFrame(ROWS)
    assert answer(x).numpy() == pytest.approx(load(table, ensemble=True).predict_proba(frame), abs=1e-6)
    assert abs(answer(x).numpy() - load(table).predict_proba(frame)).max() > 1e-4


class Asks(nn.Linear):
    """A forward that asks what a tensor holds."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(-x if x.sum() > 0 else x)


class Fixed(nn.Linear):
    """A forward that takes a batch of another number of examples otherwise."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * (1.0 if x.shape[0] == exporting.exported.TAKEN_OF else 0.5)


def asks(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Asks(shape[0], outputs)


def fixed(shape: tuple[int, ...], outputs: int) -> nn.Module:
    return Fixed(shape[0], outputs)


@pytest.mark.parametrize(
    ("factory", "name", "said"),
    [
        (asks, "pt2", "no graph that torch.export finds.*must not branch on what a tensor holds"),
        (asks, "torchscript", "cannot be traced.*Python boolean.*write torch.where"),
        (fixed, "pt2", "no graph that torch.export finds.*nor on the number of examples"),
        (fixed, "torchscript", "cannot be traced|answers otherwise than the model itself"),
    ],
)
def test_what_no_graph_can_hold_is_refused_in_a_line_and_leaves_no_file(
    tmp_path: Path, numbers: Data, factory: Factory, name: str, said: str
) -> None:
    folder = untrained(tmp_path / "run", numbers, factory, "")
    with pytest.raises(ModelError, match=said) as caught:
        ravine.export(folder, format=name, make_model=factory)
    assert "\n" not in str(caught.value)
    assert not (folder / "export").exists()


def test_a_file_that_answers_otherwise_is_not_written(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    way = FORMATS["torchscript"]
    read: Callable[[bytes], Any] = way.read

    def read_wrong(content: bytes) -> Any:
        answer, description = read(content)
        return lambda x: answer(x) + (2e-4 if len(x) == 7 else 0.0), description

    monkeypatch.setattr(way, "read", read_wrong)
    with pytest.raises(ModelError, match=r"by 0.0002 where 0.0001 is allowed; no file was written"):
        ravine.export(table, format="torchscript", out=table / "wrong.pt")
    monkeypatch.setattr(way, "read", lambda content: (lambda x: read(content)[0](x) * float("nan"), read(content)[1]))
    with pytest.raises(ModelError, match="by nan where"):
        ravine.export(table, format="torchscript", out=table / "wrong.pt")
    assert not (table / "wrong.pt").exists()


def test_what_is_asked_wrongly_is_answered_in_a_line(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match="format 'onx' is not known; did you mean onnx"):
        ravine.export(table, format="onx")
    with pytest.raises(FolderError, match="there is no folder"):
        ravine.export(tmp_path / "nowhere", format="pt2")
    with pytest.raises(InputError, match=r"there is no .*model.json: give the folder of a finished run"):
        ravine.export(tmp_path, format="pt2")
    standing = tmp_path / "standing.pt"
    standing.write_text("mine")
    with pytest.raises(FolderError, match=r"standing\.pt is written already: write --overwrite"):
        ravine.export(table, format="torchscript", out=standing)
    assert standing.read_text() == "mine"
    ravine.export(table, format="torchscript", out=standing, overwrite=True)
    assert standing.stat().st_size > 1000
    with pytest.raises(FolderError, match="is a folder: name a file"):
        ravine.export(table, format="torchscript", out=tmp_path, overwrite=True)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingError, match=r"onnxruntime, which is not here: pip install 'ravine\[export\]'"):
        ravine.export(table, format="onnx", out=tmp_path / "model.onnx")

"""A model on disk: the same bits back, and one clear line for whatever is damaged or hostile."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from ravine.data import Data
from ravine.errors import FolderError, InputError, ModelError
from ravine.models import Model, mlp
from ravine.regularization import dropouts
from ravine.training import Kept, Setting, load_model, save_model

Finish = Callable[[Data], tuple[Path, list[Kept]]]


@pytest.fixture
def stem(finish: Finish, three_classes: Data) -> Path:
    return finish(three_classes)[0] / "best" / "model"


def change(stem: Path, **entries: Any) -> None:
    """Rewrite entries of the record."""
    path = stem.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def refusal(kind: type[InputError], stem: Path) -> str:
    """The one line of the error that loading raises."""
    with pytest.raises(kind) as caught:
        load_model(stem)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["three_classes", "numbers"])
def test_weights_record_and_preprocessing_come_back_bit_for_bit(
    finish: Finish, kind: str, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(kind)
    folder, kept = finish(data)
    module, record, preprocessing = load_model(folder / "best" / "model")
    state = module.state_dict()
    assert state.keys() == kept[0].state.keys()
    assert all(torch.equal(state[name], value) for name, value in kept[0].state.items())
    assert preprocessing == data.preprocessing
    assert not module.training
    assert (record.task, record.model, record.trial, record.epoch) == (data.task, "mlp", 0, kept[0].epoch)
    assert record.validation == kept[0].validation
    assert Setting(**record.hyperparameters) == kept[0].setting


def test_the_weights_are_plain_safetensors_and_nothing_is_pickled(stem: Path) -> None:
    with safe_open(stem.with_suffix(".safetensors"), "pt") as file:
        assert "1.weight" in set(file.keys())
    assert sorted(each.name for each in stem.parent.iterdir()) == ["model.json", "model.safetensors"]
    assert not any(
        b"torch._utils" in each.read_bytes() or each.read_bytes()[:2] in (b"PK", b"\x80\x02")
        for each in stem.parent.iterdir()
    )


def test_loading_leaves_the_global_generator_alone(stem: Path) -> None:
    before = torch.get_rng_state()
    load_model(stem)
    assert torch.equal(before, torch.get_rng_state())


def test_tied_weights_and_counters_are_saved_as_well(tmp_path: Path, three_classes: Data) -> None:
    def make(input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        model = nn.Sequential(
            nn.Linear(*input_shape, 4), nn.BatchNorm1d(4), nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, outputs)
        )
        model[3].weight = model[2].weight
        return model

    model = Model("", make, three_classes.input_shape, 3)
    state = {name: value.clone() for name, value in model.build(5).state_dict().items()}
    kept = Kept(0, Setting(), 1, 10, {"accuracy": 0.5, "nll": float("nan")}, state)
    save_model(tmp_path / "model", kept, model, "classification", three_classes.preprocessing)
    module, record, _ = load_model(tmp_path / "model", make)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert record.validation == {"accuracy": 0.5, "nll": None}
    assert "make_model=..." in refusal(ModelError, tmp_path / "model")


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b"\xff" * 300),
        lambda path: path.write_bytes(b"[" * 100_000),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["missing", "empty", "cut", "noise", "deep", "folder"],
)
def test_a_damaged_file_is_named_in_one_line(stem: Path, suffix: str, damage: Callable[[Path], object]) -> None:
    path = stem.with_suffix(suffix)
    damage(path)
    assert str(path) in refusal(FolderError, stem)


@pytest.mark.parametrize(
    ("entries", "where"),
    [
        ({"strange": 1}, "strange"),
        ({"two\nlines": 1}, "two lines"),
        ({"format": 2}, "format"),
        ({"task": "guess"}, "task"),
        ({"outputs": "ten"}, "outputs"),
        ({"input_shape": [1.5]}, "input_shape"),
        ({"settings": ["hidden"]}, "settings"),
        ({"model": {"name": "mlp"}}, "model"),
        ({"validation": {"accuracy": "high"}}, "validation"),
        ({"preprocessing": 3}, "preprocessing"),
    ],
    ids=str,
)
def test_a_record_that_holds_something_else_is_refused_with_the_place(
    stem: Path, entries: dict[str, object], where: str
) -> None:
    change(stem, **entries)
    text = refusal(FolderError, stem)
    assert f"{stem}.json is damaged ({where}" in text
    assert len(text) < 1000


@pytest.mark.parametrize("content", ["[]", "3", "null", '"text"'])
def test_a_record_that_is_no_record_is_refused(stem: Path, content: str) -> None:
    stem.with_suffix(".json").write_text(content)
    assert "model.json is damaged (the record" in refusal(FolderError, stem)


@pytest.mark.parametrize(
    "entries",
    [
        {"preprocessing": {"kind": "strange"}},
        {"preprocessing": {}},
        {"model": "nowhere_h:make"},
        {"model": "os:system"},
        {"settings": {"hidden": "wide"}},
        {"settings": {"strange": 1}},
        {"outputs": -3},
    ],
    ids=str,
)
def test_a_record_that_names_what_cannot_be_built_is_one_line(stem: Path, entries: dict[str, object]) -> None:
    change(stem, **entries)
    refusal(InputError, stem)


def test_weights_of_another_model_are_refused(stem: Path) -> None:
    save_file({"1.weight": torch.zeros(2, 2)}, stem.with_suffix(".safetensors"))
    assert "missing, damaged or of another model" in refusal(FolderError, stem)


def test_the_rates_of_the_trial_come_back_with_its_weights(tmp_path: Path, three_classes: Data) -> None:
    model = Model("mlp", mlp, three_classes.input_shape, three_classes.outputs, {"hidden": [7]})
    setting = Setting(dropout=0.25)
    kept = Kept(0, setting, 1, 10, {"accuracy": 0.5, "nll": 1.0}, model.build(0, dropout=0.25).state_dict())
    save_model(tmp_path / "model", kept, model, "classification", three_classes.preprocessing)
    module, _, _ = load_model(tmp_path / "model")
    assert [layer.p.item() for _, layer in dropouts(module)] == [0.25]

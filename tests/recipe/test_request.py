"""What was asked, through JSON and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ravine.errors import FolderError, SettingError
from ravine.recipe.request import Request, read_request
from ravine.search import Choice, Int, Log, Uniform

SPACE = {"lr": Log(1e-4, 0.1), "dropout": Uniform(0, 0.5), "hidden": Int(8, 64, log=True), "optimizer": Choice(["sgd"])}


TUNE = {"space": None, "trials": None, "keep_going": False, "inspect": False}
TRAIN = {"epochs": 3, "setting": {}, "ensemble": None, "size": 5, "average": None, "patience": None}


def written_and_read(folder: Path, request: Request) -> Request:
    (folder / "config.json").write_text(json.dumps({"request": request.model_dump(mode="json"), "seed": 3}))
    return read_request(folder, known={"tune", "train"})


def test_a_request_is_asked_again_as_it_was(tmp_path: Path) -> None:
    own = {"space": SPACE, "trials": 7, "keep_going": True, "inspect": False}
    options: dict[str, Any] = {"target": "kind", "categorical": ("a", "b"), "seed": 4, "budget": "5m", "batch_size": 16}
    hidden = {"settings": {"hidden": [8, 8]}, "engine": "stacked", "device": "cpu", "tensorboard": True, "task": None}
    others = {"out": "x", "overwrite": True, "watch": object(), "on_epoch": print, "started": 1.0, "command": "ravine"}
    request = written_and_read(tmp_path, Request.of("tune", "digits", "mlp", own, {**options, **hidden, **others}))
    model, data, again, asked = request.again(None, None, None)
    assert (request.work, model, data) == ("tune", "mlp", "digits")
    assert again == own
    assert {name: value for name, value in asked.items() if value is not None} == {
        **{name: value for name, value in {**options, **hidden}.items() if value is not None},
        "categorical": ["a", "b"],
    }


def test_without_a_space_there_is_none(tmp_path: Path) -> None:
    request = written_and_read(tmp_path, Request.of("tune", "digits", "mlp", TUNE, {}))
    assert request.again(None, None, None)[2] == TUNE


def test_what_is_given_takes_the_place_of_what_is_recorded(tmp_path: Path) -> None:
    request = written_and_read(tmp_path, Request.of("train", "old.csv", "mlp", TRAIN, {"test": "old-test.csv"}))
    model, data, _, options = request.again("new.csv", "cnn", "new-test.csv")
    assert (model, data, options["test"]) == ("cnn", "new.csv", "new-test.csv")


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="a run of 'prune', which this version does not know"):
        written_and_read(tmp_path, Request.of("prune", "digits", "mlp", {}, {}))


@pytest.mark.parametrize(
    ("own", "options"),
    [
        ({"epochs": 3}, {}),  # the others are missing
        ({**TRAIN, "epochs": "many"}, {}),
        ({**TRAIN, "setting": {"nothing": 1}}, {}),
        ({**TRAIN, "sharing": {"nothing": 1}}, {}),
        (TRAIN, {"seed": [1]}),
        (TRAIN, {"settings": 5}),
    ],
)
def test_a_request_of_other_types_than_ours_is_damage(
    tmp_path: Path, own: dict[str, Any], options: dict[str, Any]
) -> None:
    with pytest.raises(FolderError, match=r"config\.json is damaged"):
        written_and_read(tmp_path, Request.of("train", "digits", "mlp", own, options))


def test_a_setting_in_a_request_is_refused_as_one_that_is_typed(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="lr is 'fast'; it must be a number"):
        written_and_read(tmp_path, Request.of("train", "digits", "mlp", {**TRAIN, "setting": {"lr": "fast"}}, {}))


def test_a_request_cannot_say_where_to_write(tmp_path: Path) -> None:
    request = Request.of("train", "digits", "mlp", TRAIN, {"seed": 1})
    said = request.model_copy(update={"options": {**request.options, "out": "/elsewhere", "overwrite": True}})
    assert "out" not in written_and_read(tmp_path, said).options

"""The record of a trained network's curvature: what it holds, what it says of the optimizer, and that it is JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ravine.data import Data
from ravine.recipe.inspection import Inspection, inspect_trained, summary, trained_with
from ravine.recipe.session import Session
from ravine.training import Setting

Sit = Callable[..., Session]


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting("sgd", lr=0.03, momentum=0.5, batch_size=16)


@pytest.fixture
def found(three_classes: Data, sit: Sit, setting: Setting) -> Inspection:
    module = sit(three_classes).model.build(0)
    return inspect_trained(module, three_classes.train, "classification", setting, trial=7, examples=60, momentum=0.5)


def test_the_record_is_json_and_names_what_was_looked_at(found: Inspection, three_classes: Data) -> None:
    record = json.loads(json.dumps(found.record(), allow_nan=False))
    assert (record["split"], record["of"], record["trial"]) == ("train", len(three_classes.train), 7)
    assert record["curvature"]["examples"] == 60
    assert (record["optimizer"], record["lr"], record["momentum"], record["batch_size"]) == ("sgd", 0.03, 0.5, 16)
    assert list(record["curvature"]["max_lr_momentum"]) == ["0.5", "0.9"]
    assert record["slices"]["gradient"]["losses"][0] == pytest.approx(record["curvature"]["loss"], rel=1e-6)
    assert record["slices"]["between"] is None


def test_the_limit_is_that_of_the_optimizer_that_trained_it(found: Inspection) -> None:
    assert found.stable_below == pytest.approx(2 * 1.5 / (2 * found.curvature.largest))  # Nesterov's, rho = 0.5


def test_the_spectrum_counts_an_eigenvalue_that_stands_alone_as_one(found: Inspection) -> None:
    assert found.spectrum is not None
    at = min(
        range(len(found.spectrum.count)), key=lambda k: abs(found.spectrum.eigenvalue[k] - found.curvature.largest)
    )
    assert found.spectrum.count[at] == pytest.approx(1, rel=0.1)
    assert found.spectrum.eigenvalue[0] < found.curvature.smallest
    assert max(found.spectrum.count) < found.curvature.parameters


def test_a_time_that_is_too_short_leaves_parts_out_and_still_makes_a_record(
    three_classes: Data, sit: Sit, setting: Setting
) -> None:
    module = sit(three_classes).model.build(0)
    found = inspect_trained(module, three_classes.train, "classification", setting, trial=0, seconds=1e-3)
    assert any("left out" in note for note in found.notes)
    assert found.curvature.examples == 100
    assert found.notes[0].startswith("100 examples are looked at")
    assert found.spectrum is None
    json.dumps(found.record(), allow_nan=False)


def test_the_sentence_tells_the_rate_and_the_kind_of_point(found: Inspection) -> None:
    said = summary(found)
    assert f"below a rate of {found.curvature.max_lr:.3g}" in said
    assert found.curvature.kind in said


def test_a_setting_comes_back_from_its_hyperparameters(setting: Setting) -> None:
    assert trained_with(setting.hyperparameters(), 99) == setting
    without = {k: v for k, v in setting.hyperparameters().items() if k != "batch_size"}
    assert trained_with(without, 99).batch_size == 99

"""The diagnosis as `ravine check` asks for it: the training it makes, and what is not told of settings that nobody chose."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data, MemorySplit
from ravine.diagnosis import CATALOGUE, Case, Finding, Look
from ravine.errors import ModelError
from ravine.models import mlp
from ravine.recipe import faults
from ravine.recipe.curves import FAULTS
from ravine.recipe.faults import Asked, find_faults, without
from ravine.recipe.overfit import overfit
from ravine.recipe.session import Session

Sit = Callable[..., Session]


def finding(fault: str, confidence: float) -> Finding:
    return Finding(fault, confidence, {}, "", "")


@pytest.fixture
def asked_of(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases that are diagnosed, and one finding of each kind for the answer."""
    seen: list[Case] = []

    def answer(look: Look) -> list[Finding]:
        seen.append(look.case)
        return [finding("lr-too-low", 0.8), finding("under-fitting", 0.6), finding("label-noise", 0.7)]

    monkeypatch.setattr(faults, "findings_of", answer)
    return seen


def names(found: list[Finding]) -> list[str]:
    return [one.fault for one in found]


def test_what_is_ours_is_not_told_and_nor_is_what_follows_from_it(
    three_classes: Data, sit: Sit, asked_of: list[Case]
) -> None:
    assert names(find_faults(sit(three_classes), Asked(), 5.0)) == ["label-noise"]
    assert names(find_faults(sit(three_classes), Asked(lr=1e-3), 5.0))[0] == "lr-too-low"
    assert [case.lr for case in asked_of] == [1e-3, 1e-3]


def test_a_root_that_is_ours_hides_only_when_it_comes_first() -> None:
    found = [finding("init-too-large", 0.9), finding("lr-too-high", 0.7), finding("dead-units", 0.6)]
    assert names(without(found, ["lr-too-high"])) == ["init-too-large", "dead-units"]


def test_the_training_has_the_steps_that_were_asked_for_or_about_800(
    three_classes: Data, sit: Sit, asked_of: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "_pace", lambda _: 1e-4)
    find_faults(sit(three_classes), Asked(epochs=3, optimizer="sgd"), 5.0)
    find_faults(sit(three_classes), Asked(), 5.0)
    monkeypatch.setattr(faults, "_pace", lambda _: 0.1)  # a slow model, of which 100 steps are seen
    find_faults(sit(three_classes), Asked(), 5.0)
    assert (asked_of[0].epochs, asked_of[0].rule) == (3, "sgd")
    each = asked_of[1].steps_per_epoch
    assert abs(asked_of[1].steps - min(800, 100 * each)) <= each
    assert abs(asked_of[2].steps - 100) <= each


def test_only_so_many_numbers_are_looked_at(
    three_classes: Data, sit: Sit, asked_of: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "NUMBERS", 50 * three_classes.train.batch(torch.arange(1))[0].numel())
    find_faults(sit(three_classes), Asked(), 5.0)
    assert len(asked_of[0].x) == 50


def test_a_training_cut_off_by_the_clock_is_not_judged_by_its_outcome(
    three_classes: Data, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        faults, "findings_of", lambda _: [finding("frozen-parameters", 0.97), finding("capacity-too-small", 0.8)]
    )
    session = sit(three_classes)
    notes: list[str] = []
    monkeypatch.setattr(session.watch, "note", notes.append)
    assert names(find_faults(session, Asked(epochs=2000), 1e-3)) == ["frozen-parameters"]
    assert "cut off after" in notes[0]


class Cut(nn.Module):
    """Its first layer gets no gradient."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body, self.head = nn.Linear(inputs, 64), nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).relu().detach())


def test_a_fault_of_the_model_is_named_and_a_healthy_one_is_not(
    three_classes: Data, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faults, "STEPS", 200)
    found = find_faults(sit(three_classes, lambda shape, outputs: Cut(shape[0], outputs)), Asked(), 20.0)
    assert [one.fault for one in found if one.alarm][:1] == ["frozen-parameters"]
    assert not any(one.alarm for one in find_faults(sit(three_classes, mlp, hidden=(32,)), Asked(), 20.0))


def test_a_model_that_cannot_take_more_rows_is_refused_in_a_line(three_classes: Data, sit: Sit) -> None:
    class Few(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 64:
                raise RuntimeError("too many rows")
            return super().forward(x)

    big = MemorySplit(*three_classes.train.batch(torch.arange(len(three_classes.train)).repeat(3)))
    session = sit(dataclasses.replace(three_classes, train=big), lambda shape, outputs: Few(shape[0], outputs))
    with pytest.raises(ModelError, match="too many rows"):
        find_faults(session, Asked(), 5.0)


def test_the_steps_name_the_faults_that_they_conclude(three_classes: Data, sit: Sit, monkeypatch: Any) -> None:
    monkeypatch.setattr("ravine.recipe.overfit.MOST_STEPS", 60)

    def soft(shape: tuple[int, ...], outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(shape[0], outputs), nn.Softmax(-1))

    assert overfit(sit(three_classes, soft)).evidence["fault"] == "softmax-before-loss"
    assert set(FAULTS.values()) <= set(CATALOGUE)

"""Faults of the data on small made-up rows: each is found where it is, and left unsaid where something like it is healthy."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ravine.diagnosis import Case, Finding, Look
from ravine.diagnosis.catalogue import GROUPS, fault
from ravine.randomness import generator, permutation


def drawn(rows: int, features: int = 6, classes: int = 3, seed: int = 0, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    """Clouds round centres that every seed has in the same places."""
    draw, places = generator(seed, "clouds"), generator(0, "centres")
    centres = 2.0 * torch.randn(classes, features, generator=places)
    y = torch.arange(rows) % classes
    return centres[y] + spread * torch.randn(rows, features, generator=draw), y


def clouds(rows: int = 300, classes: int = 3, **settings: object) -> Case:
    x, y = drawn(rows, classes=classes)
    held_x, held_y = drawn(150, classes=classes, seed=1)
    return Case(lambda: network(6, classes), x, y, held_x, held_y, **{**LIGHT, **settings})  # type: ignore[arg-type]


LIGHT = {"loss": "cross_entropy", "rule": "adam", "lr": 1e-2, "batch_size": 32, "epochs": 10}


def network(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Linear(16, outputs))


def line(rows: int = 300, noise: float = 0.3, **settings: object) -> Case:
    """A regression with a target of mean 0 and deviation about 1."""
    x = torch.randn(rows + 150, 6, generator=generator(0, "line"))
    y = (
        x[:, 0] * 0.8
        + 0.6 * x[:, 1].abs()
        - 0.5
        + noise * torch.randn(rows + 150, generator=generator(0, "line noise"))
    )
    parts = (x[:rows], y[:rows], x[rows:], y[rows:])
    return Case(lambda: network(6, 1), *parts, **{**LIGHT, "loss": "mse", **settings})  # type: ignore[arg-type]


def found(name: str, case: Case) -> Finding | None:
    """The surest alarm of that fault, and that it names no other."""
    findings = list(fault(name).find(Look(case)))
    assert all(finding.fault == name for finding in findings)
    alarms = [finding for finding in findings if finding.alarm]
    return max(alarms, key=lambda finding: finding.confidence, default=None)


@pytest.mark.parametrize("name", GROUPS["data"])
@pytest.mark.parametrize("make", [clouds, line])
def test_a_healthy_training_raises_no_alarm(name: str, make: Callable[[], Case]) -> None:
    assert found(name, make()) is None


def test_one_nan_is_found_with_its_row_and_column_and_the_cure_is_finite() -> None:
    case = clouds()
    x = case.x.clone()
    x[17, 4] = math.nan
    finding = found("nan-input", case.but(x=x))
    assert finding is not None
    assert finding.confidence == 1.0
    assert finding.evidence["first_row"] == 17
    assert finding.evidence["columns"] == [4]
    assert found("nan-input", case.but(x=x).but(**finding.change)) is None
    assert "finite" in finding.verified


def test_an_infinite_target_counts_as_not_finite() -> None:
    case = line()
    y = case.y.clone()
    y[3] = math.inf
    finding = found("nan-input", case.but(y=y))
    assert finding is not None
    assert finding.where == "targets"
    assert len(finding.change["x"]) == len(case.x) - 1


def test_labels_that_begin_at_one_are_numbered_anew() -> None:
    case = clouds()
    finding = found("label-range", case.but(y=case.y + 1, held_y=case.held_y + 1))
    assert finding is not None
    assert torch.equal(finding.change["y"], case.y)
    assert torch.equal(finding.change["held_y"], case.held_y)


def test_a_few_labels_beyond_the_last_class_are_strays_and_a_whole_class_is_not() -> None:
    case = clouds()
    stray = case.y.clone()
    stray[50::100] = 3
    assert found("label-range", case.but(y=stray)) is not None
    assert found("label-range", clouds(classes=4).but(make_model=case.make_model)) is None  # wrong-output-size


def test_minus_one_and_one_do_not_suit_a_binary_loss_and_shares_do() -> None:
    case = clouds(classes=2, loss="bce_with_logits").but(make_model=lambda: network(6, 1))
    assert found("label-range", case.but(y=2.0 * case.y - 1)) is not None
    assert found("label-range", case.but(y=0.1 + 0.8 * case.y)) is None


def test_rows_that_torch_ignores_are_no_fault() -> None:
    case = clouds()
    y = case.y.clone()
    y[::10] = -100
    assert found("label-range", case.but(y=y)) is None


def test_a_column_of_one_value_is_found_and_the_border_of_images_is_not() -> None:
    case = clouds()
    x, held_x = case.x.clone(), case.held_x.clone()
    x[:, 2], held_x[:, 2] = 0.0, 0.0
    finding = found("constant-feature", case.but(x=x, held_x=held_x))
    assert finding is not None
    assert finding.evidence["columns"] == [2]
    without = case.but(x=x, held_x=held_x).but(**finding.change)
    assert without.build()(without.x).shape == (300, 3)
    assert found("constant-feature", without) is None

    pictures = torch.zeros(200, 8, 8)
    pictures[:, 2:6, 2:6] = torch.rand(200, 4, 4, generator=generator(0, "inner"))
    border = torch.rand(200, 8, 8, generator=generator(0, "border")) > 0.97  # a pixel of the border is seldom lit
    pictures = torch.where(border, torch.ones(()), pictures)
    pictures[:, 0, :4] = 0.0
    images = case.but(x=pictures.flatten(1), held_x=pictures[:50].flatten(1))
    assert found("constant-feature", images) is None
    gap = pictures.clone()
    gap[:, 4, 4] = 0.5
    finding = found("constant-feature", images.but(x=gap.flatten(1)))
    assert finding is not None
    assert finding.evidence["columns"] == [36]


def test_columns_in_units_of_thousands_are_found_and_sixteen_grey_levels_are_not() -> None:
    case = clouds(rule="sgd", lr=0.05)
    units = torch.tensor([1.0, 1.0, 1.0, 1000.0, 1.0, 300.0])
    finding = found("unscaled-input", case.but(x=case.x * units, held_x=case.held_x * units))
    assert finding is not None
    assert finding.where == "column 3"
    assert found("unscaled-input", case.but(**finding.change)) is None
    grey = clouds().but(x=3 * case.x + 8, held_x=3 * case.held_x + 8)
    assert found("unscaled-input", grey) is None


def test_inputs_divided_twice_are_found_and_pixels_in_the_unit_interval_are_not() -> None:
    case = clouds()
    finding = found("double-scaling", case.but(x=case.x / 1000, held_x=case.held_x / 1000))
    assert finding is not None
    assert "with deviation 1" in finding.verified
    assert found("double-scaling", case.but(x=case.x / 20 + 0.5, held_x=case.held_x / 20 + 0.5)) is None


def test_targets_of_thousands_are_found_where_they_harm() -> None:
    case = line(rule="sgd", lr=0.05)
    large = case.but(y=case.y * 300 + 2000, held_y=case.held_y * 300 + 2000)
    finding = found("target-unscaled", large)
    assert finding is not None
    assert finding.evidence["gain"] > 0.5
    assert found("target-unscaled", case.but(y=case.y + 3, held_y=case.held_y + 3)) is None


def test_a_class_that_is_not_recalled_is_found_and_an_uneven_split_is_not() -> None:
    case = clouds(600, epochs=3, lr=3e-3)
    near = case.x.clone()
    near[case.y == 1] = near[case.y == 1] * 0.3 + near[case.y == 0] * 0.7
    held = case.held_x.clone()
    held[case.held_y == 1] = held[case.held_y == 1] * 0.3 + held[case.held_y == 0] * 0.7
    case = case.but(x=near, held_x=held)

    def thinned(to_one_of: int) -> Case:
        kept = (case.y != 1) | (torch.arange(len(case.y)) // 3 % to_one_of == 0)
        return case.but(x=case.x[kept], y=case.y[kept])

    finding = found("class-imbalance", thinned(50))
    assert finding is not None
    assert finding.where == "class 1"
    assert finding.evidence["recall_of_rare_balanced"] > finding.evidence["recall_of_rare"]
    assert found("class-imbalance", thinned(3)) is None


def test_rows_in_both_splits_are_found_even_with_noise_on_them() -> None:
    case = clouds()
    held_x, held_y = case.held_x.clone(), case.held_y.clone()
    held_x[:30], held_y[:30] = case.x[:30], case.y[:30]
    finding = found("leak-between-splits", case.but(held_x=held_x, held_y=held_y))
    assert finding is not None
    assert finding.evidence["leaked"] == 30
    assert len(finding.change["held_x"]) == 120
    held_x[:30] += 1e-3 * torch.randn(30, 6, generator=generator(0, "jitter"))
    assert found("leak-between-splits", case.but(held_x=held_x, held_y=held_y)) is not None


def test_rows_of_a_few_categories_agree_by_chance() -> None:
    case = clouds()
    coarse = case.but(x=(case.x > 0).float(), held_x=(case.held_x > 0).float())
    assert found("leak-between-splits", coarse) is None


def test_held_out_rows_from_elsewhere_are_found_by_their_inputs_their_labels_and_their_meaning() -> None:
    case = clouds()
    moved = found("split-shift", case.but(held_x=case.held_x + torch.tensor([0.0, 0, 4, 0, 0, 0])))
    assert moved is not None
    assert moved.evidence["told_apart"] > 0.9
    assert "column 2" in moved.where
    sorted_rows = case.y.argsort()
    later = case.but(x=case.x[sorted_rows[:200]], y=case.y[sorted_rows[:200]], held_x=case.x[sorted_rows[200:]])
    assert found("split-shift", later.but(held_y=case.y[sorted_rows[200:]])) is not None
    renamed = found("split-shift", case.but(held_y=(case.held_y + 1) % 3))
    assert renamed is not None
    assert renamed.evidence["told_apart"] < 0.7


def test_five_rows_of_a_class_are_too_few_where_the_learning_curve_climbs_and_enough_where_it_does_not() -> None:
    x, y = drawn(2000, features=30, classes=4, spread=5.0)
    few = Case(lambda: network(30, 4), x[:24], y[:24], x[1000:], y[1000:], **{**LIGHT, "batch_size": 8, "epochs": 40})  # type: ignore[arg-type]
    finding = found("too-few-samples", few)
    assert finding is not None
    assert finding.evidence["skill_with_half"] < finding.evidence["skill_with_all"]
    assert found("too-few-samples", clouds(24, batch_size=8, epochs=40)) is None


def flipped(y: Tensor, share: float, split: str) -> Tensor:
    draw = generator(0, "flip", split)
    return torch.where(torch.rand(len(y), generator=draw) < share, (y + 1) % 3, y)


def test_flipped_labels_are_found_whether_the_held_out_ones_are_clean_or_not_and_overlap_is_no_noise() -> None:
    case = clouds(600)
    noisy = case.but(y=flipped(case.y, 0.25, "train"))
    finding = found("label-noise", noisy)
    wrong = (noisy.y != case.y).nonzero()[:, 0].tolist()
    assert finding is not None
    assert len(set(finding.evidence["rows"]) & set(wrong)) >= 18  # of the twenty that are named
    assert found("label-noise", noisy.but(held_y=flipped(case.held_y, 0.25, "held"))) is not None
    x, y = drawn(600, spread=4.0)
    held_x, held_y = drawn(300, spread=4.0, seed=1)
    assert found("label-noise", case.but(x=x, y=y, held_x=held_x, held_y=held_y)) is None


def test_targets_of_other_rows_are_noise_and_even_noise_is_not() -> None:
    case = line(600, noise=0.1)
    y = case.y.clone()
    y[:180] = y[permutation(180, 0, "others")]
    assert found("label-noise", case.but(y=y)) is not None
    assert found("label-noise", line(600, noise=1.0)) is None


def test_shuffled_targets_are_unrelated_and_a_training_that_fails_is_another_matter() -> None:
    case = clouds()
    mixed = case.but(y=case.y[permutation(300, 0, "mixed")], held_y=case.held_y[permutation(150, 1, "mixed")])
    assert found("labels-unrelated", mixed) is not None
    assert found("labels-unrelated", case.but(lr=1e-9)) is None
    shuffled = line()
    assert found("labels-unrelated", shuffled.but(y=shuffled.y[permutation(300, 0, "mixed")])) is not None


class Noise(nn.Module):
    """Noise on the inputs in training mode."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return x + self.size * torch.randn_like(x) if self.training else x


def test_noise_louder_than_the_signal_is_found_a_whisper_is_not_and_the_cure_switches_it_off() -> None:
    case = clouds()
    loud = case.but(make_model=lambda: nn.Sequential(Noise(20.0), network(6, 3)))
    finding = found("broken-augmentation", loud)
    assert finding is not None
    assert finding.where == "module 0"
    cured = finding.change["make_model"]().train()
    assert torch.equal(cured[0](case.x), case.x)
    assert cured[1].training
    assert found("broken-augmentation", case.but(make_model=lambda: nn.Sequential(Noise(0.05), network(6, 3)))) is None
    assert (
        found("broken-augmentation", case.but(make_model=lambda: nn.Sequential(nn.Dropout(0.9), network(6, 3)))) is None
    )

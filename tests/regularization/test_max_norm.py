"""The max-norm constraint: what it shortens, what it leaves alone, what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine.errors import SettingError
from ravine.regularization import MaxNorm
from ravine.regularization.max_norm import scales

SHAPES = [(20, 5), (20, 3, 4), (20, 3, 2, 2), (20, 1), (20,)]

every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def weight(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    """Units of growing length, the first of length 0."""
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(4), dtype=dtype)
    return drawn * torch.arange(len(drawn), dtype=dtype).view(-1, *[1] * (len(shape) - 1)) / 10


def lengths(w: Tensor) -> Tensor:
    return torch.stack([unit.square().sum().sqrt() for unit in w])


@every_shape
def test_long_units_get_the_limit_and_keep_their_direction(shape: tuple[int, ...]) -> None:
    w = weight(shape)
    moved, long = MaxNorm(1.0).project(w), lengths(w) > 1.0
    assert 0 < long.sum() < len(w)
    torch.testing.assert_close(lengths(moved)[long], torch.ones_like(lengths(w)[long]), rtol=1e-14, atol=0)
    for before, after, length in zip(w[long], moved[long], lengths(w)[long], strict=True):
        torch.testing.assert_close(after * length, before, rtol=1e-13, atol=0)


@every_shape
def test_units_within_the_limit_are_the_same_bits(shape: tuple[int, ...]) -> None:
    w = weight(shape, torch.float32)
    short = lengths(w) < 0.999
    assert 0 < short.sum() < len(w)
    assert torch.equal(MaxNorm(1.0).project(w)[short], w[short])
    assert torch.equal(MaxNorm(1e6).project(w), w)


def test_a_dead_unit_stays_zero_and_a_broken_one_does_not_spread() -> None:
    moved = MaxNorm(1.0).project(torch.tensor([[0.0, 0.0], [torch.nan, 1.0], [3.0, 4.0]]))
    assert moved[0].tolist() == [0.0, 0.0]
    assert moved[1, 0].isnan()
    torch.testing.assert_close(moved[2], torch.tensor([0.6, 0.8]))


def test_a_trial_without_a_limit_keeps_weights_whose_length_overflows() -> None:
    limits = torch.tensor([1.0, math.inf], dtype=torch.float64).view(2, 1, 1)
    assert scales(torch.full((2, 1, 4), 1e30), limits).flatten().tolist() == [0.0, 1.0]


def test_projecting_leaves_its_input_alone() -> None:
    w = weight((20, 5))
    kept = w.clone()
    MaxNorm(0.5).project(w)
    assert torch.equal(w, kept)


def test_in_place_the_weights_of_a_network_are_held_and_biases_are_not() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4))
    before = {name: param.detach().clone() for name, param in model.named_parameters()}
    constraint = MaxNorm(0.1)
    constraint.apply_(model)
    for name, param in model.named_parameters():
        wanted = constraint.project(before[name]) if name in ("0.weight", "3.weight") else before[name]
        assert torch.equal(param, wanted)
        assert param.requires_grad
    assert lengths(model[0].weight).max() <= 0.1 * (1 + 1e-6)


def test_patterns_choose_and_names_with_tensors_will_do() -> None:
    named = {"a": weight((20, 5)), "b": weight((20, 5))}
    kept = {name: each.clone() for name, each in named.items()}
    MaxNorm(0.1, exclude=("b",)).apply_(named)
    assert not torch.equal(named["a"], kept["a"])
    assert torch.equal(named["b"], kept["b"])


@pytest.mark.parametrize("bad", [0, 0.0, -1.0, math.nan, math.inf, "3", None])
def test_a_limit_that_is_none_is_refused(bad: Any) -> None:
    with pytest.raises(SettingError, match=r"MaxNorm\.limit is"):
        MaxNorm(bad)


def test_a_bare_string_of_patterns_is_refused() -> None:
    with pytest.raises(SettingError, match=r"MaxNorm: include is 'a'"):
        MaxNorm(1.0, include="a")  # type: ignore[arg-type]


def test_a_parameter_without_units_is_refused() -> None:
    with pytest.raises(SettingError, match=r"scale is a single number: write exclude=\('scale',\)"):
        MaxNorm(1.0, include=("*",)).apply_({"w": weight((20, 5)), "scale": torch.tensor(2.0)})

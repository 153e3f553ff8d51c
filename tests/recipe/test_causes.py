"""Clashes: what examples with one input and several targets leave possible, worked by hand."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ravine.data import Data, MemorySplit
from ravine.recipe.causes import find_clashes

X = torch.tensor([[0.0], [0.0], [0.0], [1.0], [2.0], [2.0]])


def with_targets(data: Data, y: list[float]) -> Data:
    kind = torch.int64 if data.task == "classification" else torch.float32
    return dataclasses.replace(data, train=MemorySplit(X, torch.tensor(y, dtype=kind)))


def test_the_commonest_class_of_each_input_is_the_ceiling(three_classes: Data) -> None:
    found = find_clashes(with_targets(three_classes, [0, 0, 1, 1, 2, 0]))
    assert found.examples == 5  # the three at 0 and the two at 2
    assert found.ceiling == pytest.approx((2 + 1 + 1) / 6)


def test_the_mean_target_of_each_input_is_the_ceiling(numbers: Data) -> None:
    y = [0.0, 0.0, 3.0, 5.0, 7.0, 7.0]
    found = find_clashes(with_targets(numbers, y))
    within = 1 + 1 + 4
    total = sum((v - sum(y) / 6) ** 2 for v in y)
    assert found.examples == 3
    assert found.ceiling == pytest.approx(1 - within / total)


def test_examples_that_repeat_do_not_clash(three_classes: Data) -> None:
    assert find_clashes(with_targets(three_classes, [1, 1, 1, 0, 2, 2])) == (0, 1.0)

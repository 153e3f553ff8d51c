"""A training judged as a whole: has it learnt anything?"""

from __future__ import annotations

import dataclasses
import math

import torch

from ravine.data import Data, MemorySplit
from ravine.recipe.one_setting import learnt_nothing


def test_guessing_is_what_the_shares_of_the_classes_allow(three_classes: Data) -> None:
    split = MemorySplit(torch.zeros(10, 2), torch.tensor([0] * 8 + [1, 2]))
    data = dataclasses.replace(three_classes, validation=split)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.1))
    assert learnt_nothing(data, {"accuracy": 0.8, "nll": entropy + 1e-3})
    assert learnt_nothing(data, {"accuracy": 0.9, "nll": math.nan})
    assert not learnt_nothing(data, {"accuracy": 0.9, "nll": 5.0})  # overconfident, and right more often
    assert not learnt_nothing(data, {"accuracy": 0.8, "nll": entropy - 0.05})  # says better how sure it is


def test_of_numbers_it_is_their_mean(three_classes: Data) -> None:
    data = dataclasses.replace(three_classes, task="regression")
    assert learnt_nothing(data, {"rmse": 1.0, "r2": 0.0})
    assert learnt_nothing(data, {"rmse": math.inf, "r2": -math.inf})
    assert not learnt_nothing(data, {"rmse": 1.0, "r2": 0.1})

"""Stacking rules: numbers may differ per trial, structure may not."""

from __future__ import annotations

import pytest
import torch

from ravine.engines.stacking import per_trial, stack_rules, take_trials
from ravine.errors import SettingError
from ravine.rules import SGD, Adam, AdamW


def test_numbers_that_differ_become_a_column_in_float64_and_the_others_stay_floats() -> None:
    rule = stack_rules([AdamW(weight_decay=0.1), AdamW(weight_decay=0.2)])
    assert torch.equal(rule.weight_decay, torch.tensor([[0.1], [0.2]], dtype=torch.float64))
    assert rule.beta1 == 0.9


def test_one_trial_keeps_plain_floats() -> None:
    assert per_trial([0.1]) == 0.1
    assert stack_rules([SGD(momentum=0.9)]) == SGD(momentum=0.9)


def test_taking_trials_keeps_their_numbers_alone() -> None:
    rule = stack_rules([SGD(weight_decay=d, momentum=0.9) for d in (0.1, 0.2, 0.3)])
    taken = take_trials(rule, torch.tensor([2, 0]))
    assert taken.weight_decay.flatten().tolist() == [0.3, 0.1]
    assert taken.momentum == 0.9
    same = SGD(momentum=0.9)
    assert take_trials(same, torch.tensor([0])) is same


def test_rules_of_two_kinds_are_refused_by_name() -> None:
    with pytest.raises(SettingError, match="Adam, SGD"):
        stack_rules([SGD(), Adam()])


def test_a_structure_that_differs_is_refused_by_name() -> None:
    with pytest.raises(SettingError, match="amsgrad is structure"):
        stack_rules([Adam(amsgrad=True), Adam()])


def test_no_rules_are_refused() -> None:
    with pytest.raises(SettingError, match="got none"):
        stack_rules([])

"""Memory of a trial, worked out by hand for networks whose saved tensors are known."""

from __future__ import annotations

import torch
from torch import nn

from ravine.engines.memory import saved_bytes, trial_bytes


def test_a_hidden_layer_is_kept_once_and_inputs_and_weights_are_not_counted() -> None:
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    assert saved_bytes(module, torch.zeros(7, 3)) == 7 * 5 * 4  # the output of ReLU, which the last layer keeps too


def test_kept_activations_grow_with_the_batch() -> None:
    make = lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())  # noqa: E731
    small, large = (saved_bytes(make(), torch.zeros(count, 1, 8, 8)) for count in (2, 20))
    assert 9 < large / small <= 10


def test_frozen_parameters_cost_no_state() -> None:
    module = nn.Linear(10, 10, bias=False)
    assert trial_bytes(module, torch.zeros(1, 10)) == 10 * 100 * 4
    module.requires_grad_(False)
    assert trial_bytes(module, torch.zeros(1, 10)) == 0

"""Memory of a trial, worked out by hand for networks whose saved tensors are known."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.engines.memory import (
    ACTIVATIONS,
    ROOM,
    SHARE,
    TEMPORARIES,
    TENSORS_PER_PARAMETER,
    out_of_memory,
    saved_bytes,
    stacked_at_once,
    trial_bytes,
)


def test_a_hidden_layer_is_kept_once_and_inputs_and_weights_are_not_counted() -> None:
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    assert saved_bytes(module, torch.zeros(7, 3)) == 7 * 5 * 4  # the output of ReLU, which the last layer keeps too


def test_kept_activations_grow_with_the_batch() -> None:
    make = lambda: nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())  # noqa: E731
    small, large = (saved_bytes(make(), torch.zeros(count, 1, 8, 8)) for count in (2, 20))
    assert 9 < large / small <= 10


def test_frozen_parameters_cost_no_state() -> None:
    module = nn.Linear(10, 10, bias=False)
    assert trial_bytes(module, torch.zeros(1, 10)) == TENSORS_PER_PARAMETER * 100 * 4
    module.requires_grad_(False)
    assert trial_bytes(module, torch.zeros(1, 10)) == 0


def test_what_autograd_keeps_is_counted_with_its_gradients_and_temporary_results() -> None:
    module = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    parameters = 3 * 5 + 5 + 5 * 2 + 2
    assert trial_bytes(module, torch.zeros(7, 3)) == 4 * (TENSORS_PER_PARAMETER * parameters + ACTIVATIONS * 7 * 5)


def test_memory_that_runs_out_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(RuntimeError) as other:
        torch.ones(2) @ torch.ones(3)
    assert not out_of_memory(other.value)
    assert not out_of_memory(ValueError("not enough memory"))


def test_as_many_are_stacked_as_a_tenth_of_separate_trainings_or_the_room_there_is_holds() -> None:
    large, small = 2**22, 2**10
    kept = 2**20
    one = ACTIVATIONS * kept + TEMPORARIES * large
    assert stacked_at_once(100, large, kept) == 1 + int(
        SHARE * 4 * 100 * large / one
    )  # weights, gradients, two of state
    assert stacked_at_once(100, small, kept // 16) == 1 + int(ROOM / (ACTIVATIONS * kept // 16 + TEMPORARIES * small))
    assert stacked_at_once(3, small, small) == 3
    assert stacked_at_once(3, small, 2**30) == 1

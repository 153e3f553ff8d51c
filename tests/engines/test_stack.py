"""The stack's memory: what it makes known to dropout layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ravine.engines.stack import Stack
from ravine.regularization import (
    DropConnect,
    Dropout,
    SpatialDropout,
    StochasticDepth,
    VanillaDropout,
    dropouts,
    noises,
)


def stack(*rates: float) -> Stack:
    return Stack([nn.Sequential(nn.Linear(3, 4), Dropout(p, seed=1), nn.Linear(4, 2)) for p in rates])


def idle(found: Stack) -> list[bool]:
    return [layer.idle for module in found.modules for _, layer in dropouts(module)]


@pytest.mark.parametrize(
    ("rates", "expected"), [((0.0, 0.0), [True, True]), ((0.0, 0.5), [False, False]), ((0.5,), [False])]
)
def test_dropout_rests_only_where_no_trial_drops(rates: tuple[float, ...], expected: list[bool]) -> None:
    assert idle(stack(*rates)) == expected


def test_dropout_rests_once_the_trials_that_drop_are_gone() -> None:
    found = stack(0.5, 0.0)
    found.keep(torch.tensor([1]))
    assert idle(found) == [True]


def test_a_resting_layer_gives_the_bits_that_its_mask_would_give() -> None:
    x = torch.randn(5, 3)
    (resting,) = stack(0.0).modules
    ((_, layer),) = dropouts(resting)
    found = resting.train()(x)
    layer.idle = False
    assert torch.equal(found, resting(x))


def test_every_layer_that_drops_learns_the_step_and_rests_where_no_trial_drops() -> None:
    def module(p: float) -> nn.Module:
        kinds = [Dropout(p), SpatialDropout(p), VanillaDropout(p), StochasticDepth(p), StochasticDepth(0.0)]
        return nn.Sequential(DropConnect(2, 2, p), *kinds)

    found = Stack([module(0.0), module(0.5)])
    found.set_step(17)
    for each in found.modules:
        assert [layer.step.item() for _, layer in noises(each)] == [17] * 6
        assert [layer.idle for _, layer in noises(each)] == [False] * 5 + [True]


@pytest.mark.parametrize("k", [None, 1])
def test_a_parameter_without_a_gradient_this_time_forgets_the_last_one(k: int | None) -> None:
    found = stack(0.0, 0.0)
    slopes = [torch.ones_like(view if k is None else view[k]) for view in found.slopes.values()]
    found.gather(slopes, k)
    found.gather([None, *slopes[1:]], k)
    first, *others = found.slopes.values()
    trials = range(2) if k is None else [k]
    assert all(not first[trial].any() and all(other[trial].all() for other in others) for trial in trials)


def test_the_first_trials_lie_in_the_same_memory() -> None:
    stack = Stack([nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)) for _ in range(4)])
    part = stack.part(0, 2)
    assert len(part) == 2
    part.flat.fill_(3.0)
    part.buffers["1.running_mean"].fill_(4.0)
    assert (stack.flat[:2] == 3).all()
    assert not (stack.flat[2:] == 3).any()
    assert (stack.modules[1][1].running_mean == 4).all()
    assert (stack.modules[2][1].running_mean == 0).all()
    assert part.leaves["0.weight"].data_ptr() == stack.leaves["0.weight"].data_ptr()
    assert len(stack.part(0, 9)) == 4

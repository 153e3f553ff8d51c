"""Trials stacked a portion at a time: the same numbers, and never more activations than were allowed for.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Choice, Population, recorded
from ravine.engines.one_by_one import habits_of
from ravine.engines.ownership import Own
from ravine.engines.portions import Portions
from ravine.engines.stack import Stack
from ravine.randomness import seeded
from ravine.rules import SGD

K, B = 7, 6


def net(seed: int) -> nn.Module:
    with seeded(seed, "test"):
        return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Softplus(), nn.Linear(5, 3))


def batch(step: int, own: Own = Own(False, False)) -> tuple[Tensor, Tensor]:  # noqa: B008 - a value
    make = torch.Generator().manual_seed(step)
    x = torch.randn(*([K] if own.x else []), B, 4, generator=make)
    return x, torch.randint(3, (*([K] if own.y else []), B), generator=make)


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many trials autograd was asked for at once, call by call."""
    found: list[int] = []
    whole = recorded.stacked_losses

    def noting(stack: Stack, *rest: Any, **more: Any) -> Tensor:
        found.append(len(stack))
        return whole(stack, *rest, **more)

    monkeypatch.setattr(recorded, "stacked_losses", noting)
    return found


@pytest.mark.parametrize("own", [Own(False, False), Own(True, False), Own(True, True)])
@pytest.mark.parametrize("size", [1, 3])
def test_portions_come_to_what_the_whole_stack_comes_to(size: int, own: Own) -> None:
    one, other = (Stack([net(k) for k in range(K)]) for _ in range(2))
    whole, portions = Portions(one, F.cross_entropy, K), Portions(other, F.cross_entropy, size)
    for step in range(4):  # two compared, two by the list alone
        losses = [each.losses(*batch(step, own), own=own) for each in (whole, portions)]
        torch.testing.assert_close(losses[0], losses[1], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(one.grads, other.grads, rtol=1e-4, atol=1e-6)  # summed in another order
        torch.testing.assert_close(one.buffers, other.buffers, rtol=1e-5, atol=1e-6)


def test_no_portion_is_larger_than_it_may_be_and_they_are_alike_in_size(sizes: list[int]) -> None:
    portions = Portions(Stack([net(k) for k in range(K)]), F.cross_entropy, 3)
    for step in range(3):
        portions.losses(*batch(step), own=Own(False, False))
    assert sizes == [2, 2, 3] * 2  # every portion is compared at two steps; then there is the list


def tight(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr("ravine.engines.memory.SHARE", 0.0)
    monkeypatch.setattr("ravine.engines.memory.ROOM", room)


def population(trials: int, engine: Any) -> Population:
    return Population([net(k) for k in range(trials)], [SGD()] * trials, F.cross_entropy, engine=engine)


def test_where_two_stacked_take_too_much_the_population_goes_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tight(monkeypatch, 0)
    found = population(K, "auto")
    found.step(*batch(0), [0.1] * K)
    reason = "two stacked would take more memory than trials one after another"
    assert (found.engine, found.choice.reason) == ("one by one", reason)


def test_a_resumed_population_stacks_as_many_at_once_as_before_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int]
) -> None:
    tight(monkeypatch, 8_000)
    first = population(K, Choice("stacked", 1, ""))
    first.step(*batch(0), [0.1] * K)
    assert 1 < max(sizes) < K
    first.keep([0, 2, 3, 4, 6])
    first.step(*batch(1), [0.1] * 5)
    tight(monkeypatch, 2**20)  # another machine may judge otherwise
    again = population(5, "auto")
    again.restore(first.snapshot())
    sizes.clear()
    for step in range(2, 5):
        for each in (first, again):
            each.step(*batch(step), [0.1] * 5)
    assert sizes[:4] == [2, 3, 2, 3]
    assert torch.equal(first.stack.flat, again.stack.flat)


def test_a_stack_is_not_built_where_there_is_c(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Portions] = []
    monkeypatch.setattr(Portions, "losses", lambda self, *_, **__: asked.append(self))
    found = Population([nn.Linear(4, 3) for _ in range(K)], [SGD()] * K, F.cross_entropy)
    found.step(*batch(0), [0.1] * K)
    assert "compiled" in found.choice.reason  # in whatever order
    assert "one by one" in found.choice.reason
    assert not asked


def test_what_autograd_keeps_of_a_trial_is_found_out_on_the_way() -> None:
    stack = Stack([nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)) for _ in range(2)])
    assert habits_of(stack, torch.zeros(B, 4)).kept == B * 5 * 4  # the output of ReLU

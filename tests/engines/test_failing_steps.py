"""Steps that raise: the population is as it was before, says who raised, and leaves an engine that cannot go on.

Letters in shapes: K trials, B batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.engines import Choice, Population
from ravine.randomness import seeded
from ravine.rules import AdamW


class Branching(nn.Module):
    """Looks at a number from its third forward on, which vmap cannot do; `worst`: the largest loss weight it bears."""

    def __init__(self, seed: int, worst: float = math.inf) -> None:
        super().__init__()
        with seeded(seed, "test"):
            self.first, self.norm, self.last = nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)
        self.worst, self.forwards = worst, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += self.training
        hidden = self.norm(torch.tanh(self.first(x)))
        if self.forwards > 30 and float(hidden.detach().abs().max()) > self.worst:
            raise ArithmeticError("too large")
        return self.last(hidden)  # type: ignore[no-any-return]


def branching(worst: float, seeds: Sequence[int], steps: int = 40, **more: Any) -> tuple[Population, list[int]]:
    """A population whose second trial bears no more than `worst`, after its steps, and who raised on the way."""
    x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    modules = [Branching(seed, worst if seed == 1 else math.inf) for seed in seeds]
    found, raised = Population(modules, [AdamW()] * len(seeds), F.cross_entropy, seeds=seeds, **more), []
    for _ in range(steps):
        try:
            found.step(x, y, [0.01] * len(found))
        except ArithmeticError:
            raised += [found.seeds[k] for k in found.culprits(x, y)]
            found.keep([k for k in range(len(found)) if found.seeds[k] not in raised])
            found.step(x, y, [0.01] * len(found))
    return found, raised


def test_a_model_that_vmap_refuses_at_a_later_step_goes_on_one_by_one() -> None:
    alone, _ = branching(math.inf, [0], engine=Choice("one by one", None, "given"))
    found, raised = branching(math.inf, [0, 1, 2], engine=Choice("stacked", None, "given"))
    assert (found.steps, found.engine, raised) == (40, "one by one", [])
    assert found.choice.reason.startswith("vmap cannot run Branching: vmap: It looks like you're calling .item()")
    for name, value in alone.state(0).items():
        torch.testing.assert_close(found.state(0)[name], value, rtol=1e-4, atol=1e-5)
    assert found.state(0)["norm.num_batches_tracked"] == 40  # the step that was refused counts once


def test_an_engine_that_was_asked_for_is_not_left() -> None:
    with pytest.raises(RuntimeError, match="item"):
        branching(math.inf, [0, 1], engine="stacked")


def test_a_step_that_raises_leaves_everything_as_it_was_and_names_who_raised() -> None:
    given = Choice("one by one", None, "given")
    found, raised = branching(0.1, [0, 1, 2], engine=given)
    without, _ = branching(0.1, [0, 2], engine=given)
    assert raised == [1]
    assert found.seeds == [0, 2]
    assert torch.equal(found.stack.flat, without.stack.flat)
    for k in range(2):
        assert all(torch.equal(value, without.state(k)[name]) for name, value in found.state(k).items())


def test_twins_part_their_trials_and_go_on_as_they_would_have_together() -> None:
    given = Choice("one by one", None, "given")
    x, y = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    whole, _ = branching(math.inf, [0, 1, 2], steps=5, engine=given)
    first, _ = branching(math.inf, [0, 1, 2], steps=5, engine=given)
    second = first.twin()
    first.keep([1])
    second.keep([0, 2])
    for _ in range(5):
        for one in (whole, first, second):
            one.step(x, y, [0.01] * len(one))
    assert torch.equal(first.stack.flat, whole.stack.flat[[1]])
    assert torch.equal(second.stack.flat, whole.stack.flat[[0, 2]])
    assert second.seeds == [0, 2]

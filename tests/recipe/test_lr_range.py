"""Step 3: the range read off curves whose answer is known, and from real training."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ravine
from ravine.data import Data
from ravine.engines import Population
from ravine.errors import SettingError
from ravine.recipe.lr_range import find_range, judge_ranges, read_range
from ravine.recipe.session import Session

Sit = Callable[..., Session]
RATES = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]


def falling(ends: Sequence[float], steps: int = 40, start: float = 2.0) -> list[list[float]]:
    """Curves that begin at `start` and stand at their end from step 1 on; NaN: stopped after 10 steps."""
    return [[start] * 10 if math.isnan(end) else [start, *[end] * (steps - 1)] for end in ends]


def test_the_range_is_where_at_least_half_of_the_best_drop_is_reached() -> None:
    found = read_range(RATES, [falling([2.0, 1.4, 1.0, 1.6, math.nan])], 40)
    assert (found.low, found.best, found.high) == (1e-3, 1e-2, 1e-2)
    assert found.initial_loss == 2.0
    assert found.drop == pytest.approx(0.5)
    assert found.largest_safe == 1e-1
    assert math.isnan(found.final_loss[4][0])
    assert (found.steps, found.seeds) == (40, 1)


def test_a_rate_counts_only_if_it_does_well_with_every_seed() -> None:
    found = read_range(RATES, [falling([2, 1.2, 1.0, 1.1, 2]), falling([2, 1.9, 1.0, 1.1, 2])], 40)
    assert (found.low, found.high) == (1e-2, 1e-1)
    assert found.seeds == 2


def test_a_rate_that_ends_higher_than_it_began_is_not_safe() -> None:
    found = read_range(RATES, [falling([2.0, 1.5, 2.2, 1.0, math.nan])], 40)
    assert found.largest_safe == 1e-3


def test_no_rate_is_safe_when_all_diverge() -> None:
    assert math.isnan(read_range(RATES, [falling([math.nan] * 5)], 40).largest_safe)


def test_a_curve_that_ends_in_infinity_diverged() -> None:
    found = read_range(RATES, [falling([2.0, 1.0, 1.5, 1.8, math.inf])], 40)
    assert math.isnan(found.final_loss[4][0])
    assert found.largest_safe == 1e-1


def test_seeds_that_agree_leave_half_a_grid_step_of_uncertainty() -> None:
    curves = falling([2.0, 1.4, 1.0, 1.6, math.nan])
    assert read_range(RATES, [curves, curves], 40).uncertainty_decades == pytest.approx(0.5)


def test_seeds_that_disagree_add_their_spread() -> None:
    found = read_range(RATES, [falling([2, 1.0, 1.5, 1.9, 2]), falling([2, 1.9, 1.5, 1.0, 2])], 40)
    assert found.uncertainty_decades == pytest.approx(math.hypot(math.sqrt(2), 0.5))
    verdict = judge_ranges({"adamw": found})
    assert verdict.status == "warn"
    assert "Seeds disagree" in verdict.advice[0]


def test_a_best_rate_at_the_end_of_the_grid_is_said() -> None:
    verdict = judge_ranges({"sgd": read_range(RATES, [falling([2, 2, 1.9, 1.5, 0.5])], 40)})
    assert verdict.status == "warn"
    assert "is the last one tried" in verdict.advice[0]


def test_a_loss_that_drops_at_no_rate_fails() -> None:
    flat = read_range(RATES, [falling([2, 1.99, 1.98, 2, math.nan])], 40)
    verdict = judge_ranges({"adamw": flat})
    assert verdict.status == "fail"
    assert verdict.advice


def test_one_optimizer_that_works_is_enough_to_pass() -> None:
    flat = read_range(RATES, [falling([2, 2, 2, 2, math.nan])], 40)
    good = read_range(RATES, [falling([2.0, 1.4, 1.0, 1.6, math.nan])], 40)
    verdict = judge_ranges({"adamw": flat, "sgd": good})
    assert verdict.status == "pass"
    assert "With sgd" in verdict.summary
    assert set(verdict.evidence["optimizers"]) == {"adamw", "sgd"}


def test_a_real_model_has_a_range_and_rates_beyond_it_diverge(numbers: Data, sit: Sit) -> None:
    session = sit(numbers)
    found = find_range(session, "sgd")
    assert len(found.rates) == 22
    assert found.rates[0] == pytest.approx(1e-6)
    assert found.rates[-1] == pytest.approx(10)
    assert 1e-4 < found.low <= found.best <= found.high < 10
    assert math.isnan(found.final_loss[-1][0])  # 10 diverges on squared error
    assert found.best <= found.largest_safe < 10
    assert found.seeds == 3
    assert 0 < session.pace < 1
    assert judge_ranges({"sgd": found}).status in ("pass", "warn")


def test_the_same_seed_gives_the_same_range(three_classes: Data, sit: Sit) -> None:
    first, again = (find_range(sit(three_classes), "adamw") for _ in range(2))
    assert first.final_loss[10] == pytest.approx(again.final_loss[10], rel=1e-3)  # the engine is chosen by measuring


def test_a_deadline_gives_fewer_steps_but_at_least_thirty(three_classes: Data, sit: Sit) -> None:
    found = find_range(sit(three_classes), "adamw", time.monotonic())
    assert (found.steps, found.seeds) == (30, 1)


class Lost(nn.Module):
    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.layer = nn.Linear(input_shape[0], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return torch.log(-1 - self.layer(x).square())


def test_a_model_that_is_nowhere_finite_fails_and_no_rate_is_safe(three_classes: Data, sit: Sit) -> None:
    found = find_range(sit(three_classes, Lost), "adamw")
    assert math.isnan(found.largest_safe)
    assert judge_ranges({"adamw": found}).status == "fail"


def test_the_users_module_and_the_global_random_state_are_left_bit_for_bit_as_they_were(three_classes: Data) -> None:
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    module[0].bias.requires_grad_(False)
    before, state, mode = copy.deepcopy(module.state_dict()), torch.get_rng_state(), module.training
    result = ravine.lr_range(module, three_classes, optimizers=["sgd"], budget=2, batch_size=16)
    assert result.steps[0].evidence["optimizers"]["sgd"]["drop"] > 0.05
    assert torch.equal(torch.get_rng_state(), state)
    after = module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [type(part).__name__ for part in module] == ["Linear", "BatchNorm1d", "ReLU", "Dropout", "Linear"]
    assert all(p.grad is None for p in module.parameters())
    assert not module[0].bias.requires_grad
    assert module.training == mode


def test_batches_that_differ_are_no_drop_and_no_danger() -> None:
    """The batches of the end are harder, at any rate: nothing was learnt, and nothing was lost."""
    found = read_range(RATES, [falling([2.6] * 5)], 40)
    assert found.initial_loss == 2.6
    assert found.drop == 0
    assert found.largest_safe == 1.0


def test_a_lowest_rate_that_learns_is_compared_with_its_own_beginning() -> None:
    curves = [[2.0] * 20 + [end] * 20 for end in (1.0, 0.5, 2.0, 2.0, 2.0)]
    found = read_range(RATES, [curves], 40)
    assert found.initial_loss == 2.0
    assert (found.low, found.best) == (1e-4, 1e-3)


def test_an_unknown_optimizer_is_refused_before_a_folder_is_made(three_classes: Data, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="did you mean"):
        ravine.lr_range("mlp", three_classes, optimizers=["adamm"], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_where_memory_runs_out_half_as_many_rates_are_tried_at_a_time(
    three_classes: Data, sit: Sit, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, tried = Population.step, []

    def tight(population: Population, *args: Any, **more: Any) -> Any:
        tried.append(len(population))
        if len(population) > 11:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return step(population, *args, **more)

    monkeypatch.setattr(Population, "step", tight)
    session = dataclasses.replace(sit(three_classes), engine="one by one")
    found = find_range(session, "adamw", deadline=time.monotonic())
    assert list(dict.fromkeys(tried))[:2] == [22, 11]
    assert len(found.final_loss) == len(found.rates) == 22
    assert found.drop > 0.2

"""A bound schedule, met the way torch loops and the libraries around torch meet a scheduler.

That every schedule resumes at every step to the same values is a law, in tests/laws.
"""

from __future__ import annotations

import copy
import io
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer, lr_scheduler

from ravine import optim, rules
from ravine.errors import SettingError
from ravine.schedules import BoundSchedule, Constant, Cosine, Linear, OneCycle, Plateau, Product, Warmup, bind, table

STEPS = 8

Make = Callable[[list[Parameter]], Optimizer]

MAKES: dict[str, Make] = {
    "torch SGD": lambda params: torch.optim.SGD(params, lr=0.5, momentum=0.9),
    "torch Adam": lambda params: torch.optim.Adam(params, lr=0.5),
    "torch RMSprop": lambda params: torch.optim.RMSprop(params, lr=0.5, momentum=0.9),
    "ravine SGD": lambda params: optim.SGD(params, lr=0.5, momentum=0.9),
    "ravine AdamW": lambda params: optim.AdamW(params, lr=0.5),
    "ravine rule": lambda params: optim.RuleOptimizer(params, rules.Adam(), lr=0.5),
}
every_optimizer = pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)


def sgd(lr: float | Tensor = 0.5) -> Optimizer:
    return torch.optim.SGD([Parameter(torch.ones(2))], lr=lr)


def walk(scheduler: BoundSchedule, optimizer: Optimizer, steps: int) -> list[float]:
    """The rates of the first group over some steps, each taken with a gradient."""
    rates = []
    for _ in range(steps):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = torch.ones_like(param)
        optimizer.step()
        scheduler.step()
    return rates


def rates_of(schedule: Any, peak: float = 0.5, steps: int = STEPS) -> list[float]:
    return [peak * factor for factor in table(schedule, steps).tolist()]


def momentum(group: dict[str, Any]) -> float:
    return group["betas"][0] if "betas" in group else group.get("momentum", group.get("beta1"))


def test_it_is_what_libraries_ask_a_scheduler_to_be() -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    assert isinstance(scheduler, lr_scheduler.LRScheduler)
    assert scheduler.optimizer is optimizer
    assert scheduler.total_steps == STEPS, "by this name Accelerate asks where a scheduler ends"
    assert not hasattr(scheduler, "patience")


@every_optimizer
def test_rates_and_momentum_reach_every_optimizer_and_are_stepped_with(make: Make) -> None:
    schedule = Warmup(OneCycle(), share=0.25)
    param = Parameter(torch.zeros(2))
    optimizer = make([param])
    scheduler = bind(schedule, optimizer, STEPS)
    momenta = []
    for factor in table(schedule, STEPS).tolist():
        (group,) = optimizer.param_groups
        assert group["lr"] == 0.5 * factor
        momenta.append(momentum(group))
        before = param.detach().clone()
        param.grad = torch.ones(2)
        optimizer.step()
        assert not torch.equal(param, before)
        scheduler.step()
    assert momenta == [OneCycle().momentum(max(t / STEPS - 0.25, 0) / 0.75) for t in range(STEPS)]


def test_the_second_beta_stays_what_it_was() -> None:
    optimizer = torch.optim.Adam([Parameter(torch.ones(1))], betas=(0.8, 0.7))
    walk(bind(OneCycle(), optimizer, STEPS), optimizer, 3)
    assert optimizer.param_groups[0]["betas"][1] == 0.7
    assert optimizer.param_groups[0]["betas"][0] != 0.8


def test_a_schedule_without_momentum_leaves_it_to_the_user() -> None:
    optimizer = torch.optim.SGD([Parameter(torch.ones(1))], lr=0.5, momentum=0.9)
    scheduler = bind(Product((Cosine(), OneCycle(cycle_momentum=False))), optimizer, STEPS)
    optimizer.param_groups[0]["momentum"] = 0.3
    walk(scheduler, optimizer, 2)
    assert optimizer.param_groups[0]["momentum"] == 0.3


def test_an_optimizer_without_momentum_is_refused_for_a_schedule_that_moves_it() -> None:
    optimizer = torch.optim.Adagrad([Parameter(torch.ones(1))])
    with pytest.raises(SettingError, match=r"a parameter group has none: write OneCycle\(cycle_momentum=False\)"):
        bind(Warmup(OneCycle()), optimizer, STEPS)
    assert "initial_lr" not in optimizer.param_groups[0], "refused before anything is changed"
    bind(Warmup(OneCycle(cycle_momentum=False)), optimizer, STEPS)


def test_one_last_step_after_the_last_is_let_be_and_a_further_one_refused() -> None:
    optimizer = sgd()
    scheduler = bind(Linear(), optimizer, STEPS)
    last = walk(scheduler, optimizer, STEPS)[-1]
    assert scheduler.get_last_lr() == [last] == [0.5 / STEPS], "not 0, with which nothing could be trained"
    with pytest.raises(SettingError, match=r"^a schedule bound for 8 steps was asked for step 9; .*all the steps"):
        scheduler.step()
    assert scheduler.get_last_lr() == [last]


def test_a_rate_that_another_hand_wrote_is_not_carried_on() -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    seen = walk(scheduler, optimizer, 3)
    optimizer.param_groups[0]["lr"] = 77.0
    optimizer.step()
    scheduler.step()
    assert seen + walk(scheduler, optimizer, 4) == [rate for t, rate in enumerate(rates_of(Cosine())) if t != 3]


def test_binding_again_starts_from_the_same_peak() -> None:
    optimizer = sgd()
    walk(bind(Cosine(), optimizer, STEPS), optimizer, 5)
    assert walk(bind(Linear(), optimizer, STEPS), optimizer, STEPS) == rates_of(Linear())


def test_a_rate_that_is_a_tensor_is_filled_in_place() -> None:
    lr = torch.tensor(0.5, dtype=torch.float64)
    optimizer = torch.optim.Adam([Parameter(torch.ones(2))], lr=lr, foreach=False)
    scheduler = bind(Cosine(), optimizer, STEPS)
    told = scheduler.get_last_lr()
    assert walk(scheduler, optimizer, STEPS) == rates_of(Cosine())
    assert optimizer.param_groups[0]["lr"] is lr
    assert told == [0.5], "a copy, which later steps leave alone"


def test_a_rate_that_is_a_float32_tensor_resumes_to_the_same_bits() -> None:
    def make() -> Optimizer:
        return torch.optim.Adam([Parameter(torch.ones(2))], lr=torch.tensor(0.3), foreach=False)

    optimizer = make()
    uninterrupted = walk(bind(Cosine(), optimizer, STEPS), optimizer, STEPS)
    optimizer = make()
    scheduler = bind(Cosine(), optimizer, STEPS)
    walk(scheduler, optimizer, 3)
    resumed = bind(Cosine(), twin := make(), STEPS)
    resumed.load_state_dict(scheduler.state_dict())
    assert walk(resumed, twin, STEPS - 3) == uninterrupted[3:]


def test_a_group_added_on_the_way_has_its_own_peak() -> None:
    optimizer = sgd()
    scheduler = bind(Linear(), optimizer, STEPS)
    walk(scheduler, optimizer, 2)
    optimizer.add_param_group({"params": [Parameter(torch.ones(1))], "lr": 0.02})
    walk(scheduler, optimizer, 1)
    factors = table(Linear(), STEPS).tolist()
    assert scheduler.get_last_lr() == [0.5 * factors[3], 0.02 * factors[3]]
    resumed = bind(Linear(), twin := sgd(), STEPS)
    twin.add_param_group({"params": [Parameter(torch.ones(1))], "lr": 0.02})
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.get_last_lr() == scheduler.get_last_lr()


def test_a_group_added_with_the_default_tensor_rate_has_the_peak_and_not_what_it_has_fallen_to() -> None:
    optimizer = torch.optim.Adam([Parameter(torch.ones(1))], lr=torch.tensor(0.5), foreach=False)
    scheduler = bind(Linear(), optimizer, STEPS)
    walk(scheduler, optimizer, 4)
    optimizer.add_param_group({"params": [Parameter(torch.ones(1))]})
    walk(scheduler, optimizer, 2)
    assert scheduler.get_last_lr() == [0.5 * 0.25] * 2


def test_a_state_is_plain_and_later_steps_leave_it_alone() -> None:
    optimizer = sgd(torch.tensor(0.5))
    scheduler = bind(Warmup(Plateau(patience=0), share=0.25), optimizer, STEPS)
    walk(scheduler, optimizer, 2)
    scheduler.report(torch.tensor(1.5))
    state = scheduler.state_dict()
    kept = {"last_epoch": 2, "total_steps": 8, "base_lrs": [0.5], "measured": [[2, 1.5]]}
    assert state == kept
    assert [type(lr) for lr in state["base_lrs"]] == [float]
    walk(scheduler, optimizer, 2)
    scheduler.report(1.5)
    assert state == kept
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == kept
    resumed = bind(Warmup(Plateau(patience=0), share=0.25), sgd(), STEPS)
    resumed.load_state_dict(state)
    resumed.report(1.5)
    assert state == kept, "the loaded state belongs to the caller"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"total_steps": 9},
            "is of a schedule over 9 steps, this one runs over 8: write bind(schedule, optimizer, steps=9)",
        ),
        ({"base_lrs": [0.1, 0.2]}, "has 2 parameter groups, the optimizer has 1"),
        ({"measured": None}, "needs the keys ['base_lrs', 'last_epoch', 'measured', 'total_steps']"),
    ],
    ids=str,
)
def test_the_state_of_another_run_is_refused(change: dict[str, Any], message: str) -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    walk(scheduler, optimizer, 3)
    before = scheduler.state_dict()
    state = {key: value for key, value in {**before, **change}.items() if value is not None}
    with pytest.raises(SettingError, match=re.escape(message)):
        scheduler.load_state_dict(state)
    assert scheduler.state_dict() == before


def test_a_plateau_falls_between_epochs_of_many_steps() -> None:
    optimizer = sgd()
    scheduler = bind(Product((Constant(), Plateau(factor=0.5, patience=0))), optimizer, steps=9)
    rates = []
    for metric in (1.0, 1.0, 0.5):  # an epoch is three steps, and then an evaluation
        rates += walk(scheduler, optimizer, 3)
        scheduler.report(metric)
    assert rates == [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_reporting_is_seen_at_once_and_takes_no_step() -> None:
    optimizer = sgd()
    scheduler = bind(Plateau(factor=0.5, patience=0), optimizer, STEPS)
    walk(scheduler, optimizer, 1)
    for metric in (1.0, 1.0):
        scheduler.report(metric)
    assert scheduler.get_last_lr() == [0.25] == [optimizer.param_groups[0]["lr"]]
    assert scheduler.last_epoch == 1


def test_a_step_with_a_metric_is_a_step_and_then_a_report() -> None:
    once, twice = (bind(Warmup(Plateau(factor=0.5, patience=0), share=0.25), sgd(), STEPS) for _ in range(2))
    for _ in range(4):
        once.optimizer.step()
        once.step(1.0)
        twice.optimizer.step()
        twice.step()
        twice.report(1.0)
        assert once.state_dict() == twice.state_dict()
        assert once.get_last_lr() == twice.get_last_lr()
    assert once.get_last_lr() == [0.125], "the evaluation after the last step of the climb was the first that counts"


def test_a_metric_for_a_schedule_that_follows_none_is_refused() -> None:
    optimizer = sgd()
    scheduler = bind(Warmup(Cosine()), optimizer, STEPS)
    optimizer.step()
    for tell in (scheduler.step, scheduler.report):
        with pytest.raises(
            SettingError, match=r"^Warmup\(.* was given a metric, 0\.5; it follows none: write step\(\)"
        ):
            tell(0.5)
    assert scheduler.last_epoch == 0


@every_optimizer
def test_copies_and_pickles_of_an_optimizer_can_be_bound_again(make: Make) -> None:
    optimizer = make([Parameter(torch.ones(2))])
    scheduler = bind(Cosine(), optimizer, STEPS)
    uninterrupted = walk(scheduler, optimizer, 3)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):  # noqa: S301 - our own bytes
        again = bind(Cosine(), twin, STEPS)
        again.load_state_dict(scheduler.state_dict())
        assert uninterrupted + walk(again, twin, STEPS - 3) == rates_of(Cosine())


@pytest.mark.parametrize("taken", [0, 1, 4])
def test_a_copied_or_pickled_scheduler_goes_on_with_its_own_optimizer(taken: int) -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    walk(scheduler, optimizer, taken)
    for twin in (copy.deepcopy(scheduler), pickle.loads(pickle.dumps(scheduler))):  # noqa: S301 - our own bytes
        assert walk(twin, twin.optimizer, STEPS - taken) == rates_of(Cosine())[taken:]
    assert optimizer.param_groups[0]["lr"] == rates_of(Cosine())[taken], "the copies left the first one alone"


def test_a_step_that_a_grad_scaler_skips_counts_and_is_not_warned_about() -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    scaler = torch.amp.GradScaler("cpu")
    (param,) = optimizer.param_groups[0]["params"]
    rates = []
    for factor in (float("inf"), 1.0, 1.0):  # the first gradient overflows
        rates.append(optimizer.param_groups[0]["lr"])
        scaler.scale((param * factor).sum()).backward()
        before = param.detach().clone()
        scaler.step(optimizer)
        assert torch.equal(param, before) == (factor == float("inf"))
        scaler.update()
        scheduler.step()
        optimizer.zero_grad()
    assert rates == rates_of(Cosine())[:3]


def test_stepping_before_the_optimizer_is_warned_about() -> None:
    scheduler = bind(Cosine(), sgd(), STEPS)
    with pytest.warns(UserWarning, match=r"`lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        scheduler.step()


def test_resuming_is_not_warned_about() -> None:
    optimizer = sgd()
    scheduler = bind(Cosine(), optimizer, STEPS)
    walk(scheduler, optimizer, 1)
    resumed = bind(Cosine(), sgd(), STEPS)
    resumed.load_state_dict(scheduler.state_dict())
    resumed.step()  # warnings are errors here
    assert resumed.get_last_lr() == [rates_of(Cosine())[2]]


def test_it_runs_inside_torchs_own_sequence() -> None:
    optimizer = sgd()
    parts = [bind(Linear(floor=0.5), optimizer, 4), bind(Cosine(), optimizer, 4)]
    both = lr_scheduler.SequentialLR(optimizer, parts, milestones=[4])
    expected = rates_of(Linear(floor=0.5), steps=4) + rates_of(Cosine(), steps=4)
    assert walk(both, optimizer, 7) == expected[:7]


@pytest.mark.parametrize("steps", [0, -1, 2.5, float("nan"), "10", None, True], ids=str)
def test_steps_that_are_no_count_are_refused(steps: object) -> None:
    with pytest.raises(SettingError, match=r"^steps is .*; it must be a whole number, 1 or more"):
        bind(Cosine(), sgd(), steps)


def test_arguments_in_torchs_order_or_of_other_kinds_are_refused() -> None:
    with pytest.raises(
        SettingError, match=r"^bind got a Cosine as optimizer; .*write bind\(schedule, optimizer, steps\)"
    ):
        bind(sgd(), Cosine(), STEPS)
    with pytest.raises(SettingError, match=r"^bind got a list as optimizer; it needs a torch optimizer"):
        bind(Cosine(), [torch.ones(1)], STEPS)
    with pytest.raises(SettingError, match=r"^schedule is 'cosine'; it must be a schedule"):
        bind("cosine", sgd(), STEPS)

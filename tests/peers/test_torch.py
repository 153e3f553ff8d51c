"""pytorch/pytorch: schedulers, L-BFGS, saved states, batch norm, data workers."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ravine import optim
from ravine.data import Data, from_arrays
from ravine.errors import SettingError
from ravine.regularization import Augmentation
from ravine.schedules import (
    BoundSchedule,
    Cosine,
    Exponential,
    MultiStep,
    OneCycle,
    Plateau,
    Schedule,
    Sequence,
    Warmup,
    bind,
    factor_at,
    table,
)
from ravine.training import Setting, load_model, save_model

from .reports import report
from .small import arrays, normalized, own, run

TORCH = "pytorch/pytorch"
HERE = "torch 2.13.0"


def sgd(lr: float = 1.0) -> torch.optim.Optimizer:
    return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)


def walk(scheduler: BoundSchedule, steps: int, metric: float | None = None) -> list[float]:
    """The rates that the next steps are taken with; a metric is reported after each."""
    found = []
    for _ in range(steps):
        found.append(float(scheduler.optimizer.param_groups[0]["lr"]))
        scheduler.optimizer.step()
        scheduler.step(metric)
    return found


@report(
    TORCH,
    68978,
    "SequentialLR takes no ReduceLROnPlateau behind a warm-up: its step() has no place for the metric.",
    ravine="Warmup(Plateau()) is a schedule like any other; what is measured while it climbs does not count.",
    seen=HERE,
)
def test_68978_a_plateau_composes_with_a_warm_up() -> None:
    schedule = Warmup(Plateau(factor=0.5, patience=1), share=0.25, start=0.0)
    rates = walk(bind(schedule, sgd(), 16), 16, metric=1.0)
    assert rates == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, *[0.0625] * 2, *[0.03125] * 2]


def resumed(schedule: Schedule, at: int, steps: int) -> list[float]:
    """The rates after a stop at a step: a new optimizer and a new scheduler, given the states of the old."""
    old = bind(schedule, sgd(), steps)
    walk(old, at)
    new = bind(schedule, sgd(), steps)
    new.optimizer.load_state_dict(old.optimizer.state_dict())
    new.load_state_dict(old.state_dict())
    return walk(new, steps - at)


@report(
    TORCH,
    162591,
    "SequentialLR built with last_epoch=N to go on with a training begins with another rate than that of step N.",
    ravine="A rate is computed from the step's number; a sequence goes on at any step as if it had never stopped.",
    seen=HERE,
)
def test_162591_a_sequence_goes_on_at_any_step_with_the_rates_it_would_have_had() -> None:
    schedule = Sequence((Exponential(0.5), Cosine()), milestones=(0.3,))
    whole = walk(bind(schedule, sgd(), 10), 10)
    for at in range(10):
        assert resumed(schedule, at, 10) == whole[at:]


@report(
    TORCH,
    67586,
    "SequentialLR calls step(epoch) of its parts: right with a linear warm-up in front, another curve with an ExponentialLR there.",
    ravine="A sequence is a pure function: each part runs over its own stretch, and the rates trained with are its table.",
    seen=HERE,
)
def test_67586_the_rates_of_a_sequence_are_its_table_whatever_stands_in_front() -> None:
    first, second = Exponential(0.5**5), Exponential(0.9**5)
    schedule = Sequence((first, second), milestones=(0.5,))
    rates = walk(bind(schedule, sgd(0.1), 10), 10)
    assert rates == pytest.approx([0.1 * 0.5**t for t in range(5)] + [0.1 * 0.9**t for t in range(5)])
    assert rates == [0.1 * factor for factor in table(schedule, 10).tolist()]
    goes_on = Sequence((first, Exponential(0.5**5)), milestones=(0.5,))  # asked in any order, it says the same
    assert [goes_on(p) for p in (0.9, 0.1, 0.9)] == [goes_on(0.9), goes_on(0.1), goes_on(0.9)]


@report(
    TORCH,
    78003,
    "A CosineAnnealingLR made anew on the optimizer of one that has ended, for a warm restart, is stuck at rate 0.",
    ravine="bind takes the peak rate from initial_lr, so a schedule bound anew begins at its beginning.",
    seen=HERE,
)
def test_78003_a_cosine_bound_anew_to_the_same_optimizer_restarts_at_the_peak() -> None:
    optimizer = sgd()
    first = walk(bind(Cosine(), optimizer, 5), 5)
    assert walk(bind(Cosine(), optimizer, 5), 5) == first
    assert first[0] == 1.0


@report(
    TORCH,
    65342,
    "After an optimizer's state and then a new CosineAnnealingLR's state were loaded, the rates were not those of the saved run.",
    ravine="A loaded schedule writes its rate into the optimizer at once; the order of loading makes no difference.",
    gone=HERE,
)
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_65342_the_order_in_which_states_are_loaded_makes_no_difference(optimizer_first: bool) -> None:
    whole = walk(bind(Cosine(), sgd(), 10), 10)
    old = bind(Cosine(), sgd(), 10)
    walk(old, 4)
    states = old.optimizer.state_dict(), old.state_dict()
    optimizer = sgd()
    if optimizer_first:
        optimizer.load_state_dict(states[0])
    new = bind(Cosine(), optimizer, 10)
    new.load_state_dict(states[1])
    if not optimizer_first:
        optimizer.load_state_dict(states[0])
    assert walk(new, 6) == whole[4:]


@report(
    TORCH,
    29697,
    "A MultiStepLR whose state is loaded onto a new optimizer goes on with the rate the optimizer was made with.",
    ravine="The state holds the peak rates; the schedule's state alone brings the right rate back.",
    seen=HERE,
)
def test_29697_the_schedules_own_state_is_enough_to_bring_its_rates_back() -> None:
    schedule = MultiStep(milestones=(0.5,))
    old = bind(schedule, sgd(1.0), 10)
    whole = walk(old, 7) + [0.1] * 3
    new = bind(schedule, sgd(55.0), 10)
    new.load_state_dict(old.state_dict())
    assert walk(new, 3) == pytest.approx(whole[7:])


@report(
    TORCH,
    22107,
    "MultiStepLR.get_lr() says a rate one step further decayed at each milestone than the one that is trained with.",
    ravine="get_lr() and get_last_lr() say the rate of this step, however often they are asked.",
    seen=HERE,
)
def test_22107_the_rate_that_is_said_is_the_rate_that_is_used() -> None:
    scheduler = bind(MultiStep(milestones=(0.3, 0.6, 0.9)), sgd(0.1), 10)
    for step in range(10):
        used = [group["lr"] for group in scheduler.optimizer.param_groups]
        assert scheduler.get_lr() == scheduler.get_lr() == scheduler.get_last_lr() == used
        assert used == pytest.approx([0.1 * 0.1 ** sum(step >= at for at in (3, 6, 9))])
        walk(scheduler, 1)


@report(
    TORCH,
    38170,
    "OneCycleLR stepped beyond its end says a number of steps that is one too many.",
    ravine="The error says the steps that were bound and the step that was asked for.",
    gone=HERE,
)
def test_38170_a_step_beyond_the_end_is_refused_with_its_own_number() -> None:
    scheduler = bind(OneCycle(cycle_momentum=False), sgd(), 4)
    walk(scheduler, 4)
    with pytest.raises(SettingError, match="bound for 4 steps was asked for step 5"):
        scheduler.step()


@report(
    TORCH,
    104361,
    "ReduceLROnPlateau fails once a parameter group was added to its optimizer: its list of lowest rates is too short.",
    ravine="A group added on the way takes its own rate as its peak, and falls by the same factor to the same floor.",
    gone=HERE,
)
def test_104361_a_group_that_is_added_falls_on_the_plateau_too() -> None:
    optimizer = sgd()
    scheduler = bind(Plateau(patience=0, floor=0.05), optimizer, 9)
    walk(scheduler, 1, metric=1.0)
    optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(1))], "lr": 0.2})
    walk(scheduler, 1, metric=1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.02])
    walk(scheduler, 7, metric=1.0)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.01])


@report(
    TORCH,
    185872,
    "SequentialLR with a first milestone of 0 (a warm-up of no steps) begins with the warm-up's rate and decays from there.",
    ravine="Warmup(share=0) is its body, to the bit.",
    gone=HERE,
)
def test_185872_a_warm_up_of_no_length_changes_nothing() -> None:
    assert table(Warmup(Cosine(), share=0.0), 7).tolist() == table(Cosine(), 7).tolist()
    assert walk(bind(Warmup(Exponential(0.1), share=0.0), sgd(), 5), 5) == walk(bind(Exponential(0.1), sgd(), 5), 5)
    assert factor_at(Warmup(Plateau(patience=0), share=0.0), 0.5, [(0.1, 1.0), (0.2, 1.0)]) == pytest.approx(0.1)


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def counted(optimizer: torch.optim.Optimizer, loss: Callable[[], Tensor]) -> tuple[Callable[[], Tensor], list[float]]:
    """A closure, and the losses that it has returned."""
    seen: list[float] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        seen.append(value.item())
        return value

    return closure, seen


@report(
    TORCH,
    91581,
    "LBFGS with a strong Wolfe search evaluates the loss 25 times in a step where max_eval allows 3.",
    ravine="A search is given what max_eval has left; no step evaluates more often.",
    gone=HERE,
)
@pytest.mark.parametrize("allowed", [1, 2, 3, 7])
def test_91581_lbfgs_never_evaluates_more_often_than_it_may(allowed: int) -> None:
    x = nn.Parameter(torch.tensor([-1.2, 1.0]))
    optimizer = optim.LBFGS([x], max_eval=allowed)
    for _ in range(5):
        closure, seen = counted(optimizer, lambda: rosenbrock(x))
        optimizer.step(closure)
        assert 1 <= len(seen) <= allowed


FAR = (-49.67, 131.0, 39.56, 8.95, -16.82, -47.28)


@report(
    TORCH,
    49993,
    "From a start far from the minimum, one LBFGS.step of 200 iterations ends early where ten steps of 20 arrive.",
    ravine="The search along a direction is on unless it is switched off, and one long step arrives where many short ones do.",
)
def test_49993_one_long_step_of_lbfgs_arrives_where_many_short_ones_do() -> None:
    for iterations, calls in ((200, 1), (20, 10)):
        x = nn.Parameter(torch.tensor(FAR))
        optimizer = optim.LBFGS([x], max_iter=iterations)
        closure, _ = counted(optimizer, lambda x=x: rosenbrock(x))
        for _ in range(calls):
            optimizer.step(closure)
        assert rosenbrock(x).item() < 1e-6


@report(
    TORCH,
    5953,
    "LBFGS steps to where the loss is NaN and stays there: all parameters are NaN from then on.",
    ravine="A step to a loss that is not finite is taken back or shortened; the parameters stay finite.",
    seen=HERE,
)
@pytest.mark.parametrize("search", ["strong_wolfe", None])
def test_5953_lbfgs_does_not_stay_where_the_loss_is_nan(search: str | None) -> None:
    x = nn.Parameter(torch.tensor([3.0]))
    optimizer = optim.LBFGS([x], line_search_fn=search)
    closure, seen = counted(optimizer, lambda: (x.sqrt() - 0.1).square().sum())
    for _ in range(3):
        optimizer.step(closure)
    assert math.isfinite(x.item())
    assert (x.sqrt() - 0.1).square().item() <= seen[0]
    assert search is None or x.item() == pytest.approx(0.01, rel=1e-2)


@report(
    TORCH,
    70352,
    "LBFGS with an empty parameter group raises IndexError: list index out of range, in its first step.",
    ravine="The first step is refused in a line that says what is missing, before the loss is computed.",
    seen=HERE,
)
def test_70352_a_step_of_lbfgs_without_parameters_says_what_is_missing() -> None:
    optimizer = optim.LBFGS([{"params": []}])
    closure, seen = counted(optimizer, lambda: torch.tensor(3.5))
    with pytest.raises(SettingError, match="LBFGS has groups without any parameter; it needs at least one"):
        optimizer.step(closure)
    assert seen == []


@report(
    TORCH,
    196083,
    "state_dict() and load_state_dict() hand out and take over live tensors: two optimizers then share their momentum.",
    ravine="Both copy; neither a saved state nor another optimizer changes with a step.",
    seen=HERE,
)
@pytest.mark.parametrize("kind", [optim.Adam, optim.SGD, optim.Muon, optim.LBFGS], ids=lambda kind: kind.__name__)
def test_196083_two_optimizers_share_nothing_after_one_was_loaded_from_the_other(kind: Any) -> None:
    momentum = {"momentum": 0.9} if kind is optim.SGD else {}

    def made() -> tuple[nn.Parameter, torch.optim.Optimizer]:
        weight = nn.Parameter(torch.eye(3))
        return weight, kind([weight], lr=0.1, **momentum)

    def stepped(weight: nn.Parameter, optimizer: torch.optim.Optimizer, goal: float) -> None:
        closure, _ = counted(optimizer, lambda: (weight - goal).pow(4).sum())
        optimizer.step(closure)

    def flat(state: Any) -> list[Tensor]:
        if isinstance(state, Tensor):
            return [state.clone()]
        parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
        return [tensor for part in parts for tensor in flat(part)]

    (first, one), (second, other) = made(), made()
    stepped(first, one, 2.0)
    saved = one.state_dict()
    before = flat(saved), flat(dict(one.state))
    assert before[0]
    other.load_state_dict(saved)
    stepped(second, other, -7.0)
    assert all(map(torch.equal, flat(dict(one.state)), before[1]))
    stepped(first, one, 2.0)
    assert all(map(torch.equal, flat(saved), before[0]))


class Tied(nn.Module):
    """An encoder and a decoder with one weight."""

    def __init__(self, input_shape: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        size = input_shape[0]
        self.encoder, self.decoder = nn.Linear(size, size, bias=False), nn.Linear(size, size, bias=False)
        self.decoder.weight = self.encoder.weight
        self.head = nn.Linear(size, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.decoder(torch.tanh(self.encoder(x))))
        return out


@report(
    TORCH,
    188346,
    "load_state_dict(assign=True) on a module with tied weights unties them; an optimizer then steps them twice.",
    ravine="Tied weights are trained as one, and are one again in the model that is loaded.",
    seen=HERE,
)
@pytest.mark.parametrize("engine", ["stacked", "one by one"])
def test_188346_tied_weights_stay_tied_in_training_and_after_loading(
    three_classes: Data, tmp_path: Path, engine: Any
) -> None:
    trained = run(three_classes, Setting(batch_size=16, lr=0.05), factory=Tied, steps=20, engine=engine)
    trained.advance(20)
    trained.evaluate()
    save_model(
        tmp_path / "tied",
        trained.best[0],
        own(three_classes, Tied),
        three_classes.task,
        three_classes.preprocessing,
    )
    module, _, _ = load_model(tmp_path / "tied", Tied)
    assert module.encoder.weight is module.decoder.weight
    assert torch.equal(module.encoder.weight, trained.best[0].state["decoder.weight"])
    assert len(list(module.parameters())) == 3


@report(
    TORCH,
    7716,
    "BatchNorm1d raises on a last batch of one example, so a training fails at the end of an epoch where it fails at all.",
    ravine="An epoch is made of full batches; what is left over is another part of the data in every epoch.",
    seen=HERE,
)
def test_7716_an_epoch_never_ends_in_a_batch_of_one() -> None:
    data = from_arrays(*arrays(53))
    size = len(data.train) - 1
    trained = run(data, Setting(batch_size=size), factory=normalized, steps=3)
    assert len(data.train) % trained.batch_size == 1
    assert trained.advance(3)
    assert [len(trained.batches.at(step).y) for step in range(3)] == [size] * 3
    met = {step: trained.batches.at(step).x for step in range(3)}
    assert not torch.equal(met[0].sort(dim=0).values, met[1].sort(dim=0).values)  # another one is left out


@report(
    TORCH,
    5059,
    "Workers of a DataLoader begin with one numpy seed: examples of several workers are augmented alike, in every epoch again.",
    ravine="A draw is a function of (seed, step, place in the batch): alike never, and the same again in a resumed run.",
    gone=HERE,
)
def test_5059_every_example_and_every_epoch_is_augmented_by_draws_of_its_own() -> None:
    image = torch.arange(3 * 8 * 8, dtype=torch.float32).reshape(1, 3, 8, 8)
    batch = image.expand(64, 3, 8, 8)
    augment = Augmentation(crop=3, flip=0.5, brightness=0.5)
    first, second, again = (augment(batch, seed=1, step=step) for step in (1, 2, 1))
    assert len(first.flatten(1).unique(dim=0)) > 60
    assert not any(map(torch.equal, first, second))
    assert torch.equal(first, again)

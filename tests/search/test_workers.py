"""Workers train what one process would have trained, at the same time, and end with it.

Letters in shapes: K trials.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data, from_arrays
from ravine.errors import SettingError, WorkerError
from ravine.models import Model
from ravine.search import Climb, Outcome, check_workers, halving
from ravine.search.halving import SLICE
from ravine.search.workers import places
from ravine.training import History, Kept, Run, Setting

RUNGS = [15, 30, 50]

pytestmark = pytest.mark.skipif(
    torch.accelerator.is_available() or not hasattr(os, "fork"), reason="workers are forks of a process without a GPU"
)


class Touchy(nn.Module):
    """`complains` is told (its dropout rate, forwards in training so far) and may raise."""

    def __init__(self, inputs: int, outputs: int, complains: Callable[[float, int], None]) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 8), nn.ReLU(), nn.Linear(8, outputs))
        self.drop, self.complains, self.forwards = nn.Dropout(0.1), complains, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += self.training
        self.complains(float(self.drop.p), self.forwards)
        return self.body(self.drop(x))  # type: ignore[no-any-return]


def never(_rate: float, _forwards: int) -> None: ...


def too_high(rate: float, forwards: int) -> None:
    if rate > 0.35 and forwards > 12:
        raise ValueError("no more than 12 steps at this rate")


@pytest.fixture(scope="module")
def data() -> Data:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 160)
    return from_arrays((rng.normal(size=(160, 4)) + 2 * np.eye(4)[y]).astype("float32"), y)


def runs(data: Data, complains: Callable[[float, int], None] = never, *, history: History, **more: Any) -> list[Run]:
    """Three runs: trials 0 to 3, 4 and 5 of AdamW, 6 to 8 of SGD."""
    model = Model("", lambda shape, out: Touchy(shape[0], out, complains), data.input_shape, data.outputs)
    given = {"steps": RUNGS[-1], "history": history, "every": 7, "engine": "one by one", **more}

    def run(optimizer: str, trials: range) -> Run:
        settings = [
            Setting(optimizer, lr=0.01 * (1 + k % 4), dropout=0.1 * (k % 5), batch_size=16, seed=k, order=0)
            for k in trials
        ]
        return Run(data, model, settings, trials=trials, **given)

    return [run("adamw", range(4)), run("adamw", range(4, 6)), run("sgd", range(6, 9))]


Climbed = tuple[dict[int, Outcome], dict[int, Kept], list[str]]


def climbed(made: list[Run], history: History, count: int = 2, **more: Any) -> Climbed:
    """Outcomes, best weights and what was said, with `count` workers; 1: none."""
    said: list[str] = []
    climb = Climb(made, RUNGS, say=said.append)
    made.clear()
    if count == 1:
        outcomes = climb.go(**more)
    else:
        with climb.hand_over(count, history):
            outcomes = climb.go(**more)
    assert multiprocessing.active_children() == []
    return outcomes, {t: kept for run in climb.runs for t, kept in run.best.items()}, said


def assert_same(one: Climbed, other: Climbed) -> None:
    """To the bit."""
    assert one[0] == other[0]
    assert one[1].keys() == other[1].keys()
    for trial, kept in one[1].items():
        found = other[1][trial]
        assert (kept.epoch, kept.validation, kept.setting) == (found.epoch, found.validation, found.setting)
        assert all(torch.equal(value, found.state[name]) for name, value in kept.state.items())
        assert kept.state.keys() == found.state.keys() != set()


@pytest.mark.parametrize("count", [2, 5])
@pytest.mark.parametrize("complains", [never, too_high])
def test_workers_come_to_what_one_process_comes_to(
    data: Data, complains: Callable[[float, int], None], count: int
) -> None:
    alone, together = History(), History()
    whole = climbed(runs(data, complains, history=alone), alone, 1)
    parted = climbed(runs(data, complains, history=together), together, count)
    assert_same(whole, parted)
    assert parted[2] == whole[2]
    assert sum(outcome.failed for outcome in parted[0].values()) == (0 if complains is never else 1)
    for trial in range(9):
        assert together.steps(trial) == alone.steps(trial)
        assert together.epochs(trial) == alone.epochs(trial)


def test_the_rows_of_the_history_stand_in_the_same_order_however_fast_a_worker_is(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    for turn in (1e-9, 1e9):  # one step at a time; then as many as fit, as soon as one is behind
        monkeypatch.setattr(halving, "TURN", turn)
        seen: list[dict[str, float]] = []
        history, slices = History(seen.append), list[int]()
        climbed(runs(data, too_high, history=history), history, on_slice=lambda step, _: slices.append(step))  # noqa: B023
        assert len(slices) == RUNGS[-1] if turn < 1 else len(slices) <= 3 + RUNGS[-1] / SLICE + 2
        told.append((seen, history.steps(), history.epochs()))
    assert told[0] == told[1]
    assert [row["step"] for row in told[0][0]] == sorted(row["step"] for row in told[0][0])


def test_a_climb_goes_on_from_a_snapshot_of_workers_with_workers_or_without(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(halving, "TURN", 1e-9)
    history = History()
    whole = climbed(runs(data, too_high, history=history), history)
    for count in (1, 2):
        first, second = History(), History()
        climb = Climb(runs(data, too_high, history=first), RUNGS)
        saved: list[Any] = []

        def save(
            step: int, _trials: int, climb: Climb = climb, saved: list[Any] = saved, rows: History = first
        ) -> None:
            if step == 28:  # one has raised, others are behind
                saved[:] = [climb.snapshot(), rows.snapshot()]
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt), climb.hand_over(2, first):
            climb.go(on_slice=save)
        assert multiprocessing.active_children() == []
        again = Climb(runs(data, too_high, history=second), RUNGS)
        again.restore(saved[0])
        second.restore(saved[1])
        if count == 1:
            outcomes = again.go()
        else:
            with again.hand_over(count, second):
                outcomes = again.go()
        kept = {t: one for run in again.runs for t, one in run.best.items()}
        assert_same(whole, (outcomes, kept, []))
        assert second.steps(8) == history.steps(8)
        assert count == 1 or (second.epochs(), second.steps()) == (history.epochs(), history.steps())


def test_memory_that_runs_out_in_a_worker_halves_the_run_there(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History()
    whole, made = climbed(runs(data, history=history), history), runs(data, history=history)
    kind, step = type(made[0].population), type(made[0].population).step

    def tight(population: Any, *args: Any, **more: Any) -> Any:
        if len(population) > 2 and population.steps >= 20:  # the halves then take best weights of their trials along
            raise MemoryError
        return step(population, *args, **more)

    monkeypatch.setattr(kind, "step", tight)
    found = climbed(made, history)
    assert_same(whole, found)
    assert found[2][0] == "out of memory with 4 trials at once: trials 0 to 3 go on in two halves, one after the other."


def test_runs_in_two_workers_train_at_the_same_time(data: Data) -> None:
    """Each waits in its first step for the other to have begun."""
    here = [multiprocessing.get_context("fork").Event() for _ in range(2)]

    def meet(rate: float, forwards: int) -> None:
        if forwards == 1 and rate in (0.0, 0.25):
            mine, other = here if rate else here[::-1]
            mine.set()
            assert other.wait(20), "the other worker did not begin"

    history = History()
    model = Model("", lambda shape, out: Touchy(shape[0], out, meet), data.input_shape, data.outputs)
    made = [
        Run(data, model, [Setting(dropout=rate, batch_size=16, order=0)], steps=50, trials=[k], history=history)
        for k, rate in enumerate((0.0, 0.25))
    ]
    outcomes, _, said = climbed(made, history)
    assert said == []
    assert not any(outcome.failed for outcome in outcomes.values())


def test_a_worker_that_is_killed_is_named_with_its_signal_and_the_others_end(data: Data) -> None:
    history = History()
    victims = list[Any]()

    def kill(step: int, _metrics: object) -> None:
        if step == RUNGS[0]:
            victims[:] = sorted(multiprocessing.active_children(), key=lambda child: child.name)
            os.kill(victims[0].pid, signal.SIGKILL)

    climb = Climb(runs(data, history=history), RUNGS)
    with (
        pytest.raises(WorkerError, match=r"^worker 1 of 2 was killed \(SIGKILL\): where memory runs out"),
        climb.hand_over(2, history),
    ):
        climb.go(on_rung=kill)
    assert len(victims) == 2
    assert multiprocessing.active_children() == []


def test_what_is_no_trials_fault_is_raised_here_with_where_it_was_raised(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise LookupError("our own mistake")

    history = History()
    climb = Climb(runs(data, history=history), RUNGS)
    monkeypatch.setattr(Run, "_follow_schedules", broken)
    with pytest.raises(Exception, match="our own mistake") as caught, climb.hand_over(2, history):
        climb.go()
    assert type(caught.value).__name__ == "LookupError"
    assert "in broken" in caught.value.__notes__[0]
    assert multiprocessing.active_children() == []


def test_workers_take_what_an_interrupted_group_gets_and_go_on(data: Data) -> None:
    """Ctrl-C reaches them too: what becomes of the search is for its own process to say."""

    def interrupt(_step: int, _metrics: object) -> None:
        for child in multiprocessing.active_children():
            os.kill(child.pid or 0, signal.SIGINT)
            os.kill(child.pid or 0, signal.SIGTERM)

    history = History()
    whole = climbed(runs(data, history=history), history)
    assert_same(whole, climbed(runs(data, history=history), history, on_rung=interrupt))


def test_several_threads_may_have_run_before_and_run_in_a_worker(data: Data) -> None:
    """A thread pool of OpenMP does not come through a fork: a worker that used it would wait for ever."""
    before, history = torch.get_num_threads(), History()
    torch.set_num_threads(4)
    try:
        torch.randn(2_000_000).exp().sum()  # on four threads
        climb = Climb(runs(data, wide_sum, history=history), RUNGS)
        signal.signal(signal.SIGALRM, _hung)
        signal.alarm(30)
        with climb.hand_over(2, history):
            outcomes = climb.go()
    finally:
        signal.alarm(0)
        torch.set_num_threads(before)
    assert not any(outcome.failed for outcome in outcomes.values()), outcomes


def wide_sum(_rate: float, forwards: int) -> None:
    if forwards == 1:
        assert torch.get_num_threads() == 2  # a share of four
        torch.randn(1_000_000).exp().sum()


def _hung(_number: int, _frame: object) -> None:
    raise TimeoutError("a worker waits for ever")


def test_places_give_each_worker_about_as_many_trials() -> None:
    for sizes, count in (([5, 3, 8], 2), ([1] * 7, 3), ([100, 1, 1], 2), ([4], 3), ([2, 2, 2, 2], 4)):
        at = places(sizes, count)
        assert at == sorted(at)
        assert set(at) <= set(range(count))
    assert places([4, 4], 2) == [0, 1]
    assert places([2, 2, 2, 2], 4) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("count", "device", "said"),
    [
        (0, "cpu", "workers is 0; it must be 1 or more"),
        (2, "cuda", "workers is 2 and device is cuda: workers train on the CPU"),
        (3, "mps", "workers is 3 and device is mps: workers train on the CPU"),
    ],
)
def test_workers_that_cannot_be_had_are_refused(count: int, device: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        check_workers(count, torch.device(device))
    check_workers(1, torch.device(device))
    check_workers(2, torch.device("cpu"))


def test_forks_of_a_process_that_sees_a_gpu_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    with pytest.raises(SettingError, match="CUDA_VISIBLE_DEVICES="):
        check_workers(2, torch.device("cpu"))
    check_workers(1, torch.device("cpu"))


def test_a_fork_that_fails_is_one_line(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    history = History()
    climb = Climb(runs(data, history=history), RUNGS)
    monkeypatch.setattr(os, "fork", full)
    began = time.monotonic()
    with pytest.raises(WorkerError, match=r"^worker 1 of 2 could not be begun \(Resource temporarily"):
        climb.hand_over(2, history)
    assert time.monotonic() - began < 10

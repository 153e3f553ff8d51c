"""A trial that raises or finds no memory ends with its reason; the others are as if it had never been.

Letters in shapes: K trials, N examples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ravine.data import Data, from_arrays
from ravine.models import Model
from ravine.regularization import Dropout
from ravine.search import Climb, Outcome
from ravine.search.failures import reason_of
from ravine.training import History, Kept, Run, Setting

K = 5
RUNGS = [10, 20, 40]


class Fragile(nn.Module):
    """Batch norm and dropout; `complains` looks at (its dropout rate, training, forwards so far) and may raise."""

    def __init__(self, inputs: int, outputs: int, complains: Callable[[float, bool, int], None]) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(inputs, 8, bias=False), nn.BatchNorm1d(8), nn.Linear(8, outputs)
        self.drop, self.complains, self.forwards = Dropout(0.0), complains, 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += self.training
        hidden = self.norm(self.first(x))  # its statistics have moved when the complaint comes
        self.complains(float(self.drop.p), self.training, self.forwards)
        return self.last(self.drop(torch.relu(hidden)))  # type: ignore[no-any-return]


def never(_rate: float, _training: bool, _forwards: int) -> None: ...


def at_twenty_five(rate: float, _training: bool, forwards: int) -> None:
    if rate > 0.25 and forwards > 25:
        raise ValueError("no more than\n25 steps at this rate")


def when_judged(rate: float, training: bool, _forwards: int) -> None:
    if rate > 0.25 and not training:
        raise ArithmeticError


@pytest.fixture(scope="module")
def data() -> Data:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 160)
    return from_arrays((rng.normal(size=(160, 4)) + 2 * np.eye(4)[y]).astype("float32"), y)


RATES = [0.0, 0.1, 0.3, 0.2, 0.15]  # the third is the one that is complained of


def run(
    data: Data,
    complains: Callable[[float, bool, int], None],
    trials: Sequence[int] = range(K),
    *,
    history: History | None = None,
    every: int | None = 8,
) -> Run:
    model = Model("", lambda shape, out: Fragile(shape[0], out, complains), data.input_shape, data.outputs)
    settings = [Setting(lr=0.01 * (k + 1), dropout=RATES[k], batch_size=16, seed=k, order=0) for k in trials]
    return Run(data, model, settings, steps=RUNGS[-1], trials=trials, history=history, every=every)


def climbed(made: Run, rungs: Sequence[int] = (RUNGS[-1],)) -> tuple[dict[int, Outcome], dict[int, Kept], list[str]]:
    """The outcomes when none is dropped for being behind, the best weights, and what was said."""
    said: list[str] = []
    climb = Climb([made], rungs, keep=1.0, say=said.append)
    return climb.go(), {t: kept for one in climb.runs for t, kept in one.best.items()}, said


def assert_same(
    one: tuple[dict[int, Outcome], dict[int, Kept]], other: tuple[dict[int, Outcome], dict[int, Kept]]
) -> None:
    """The trials of `one` ended in `other` as they did there, to the bit."""
    for trial, outcome in one[0].items():
        assert other[0][trial] == outcome
        wanted, found = one[1][trial], other[1][trial]
        assert (wanted.epoch, wanted.validation) == (found.epoch, found.validation)
        assert all(torch.equal(value, found.state[name]) for name, value in wanted.state.items())


@pytest.mark.parametrize(
    ("complains", "reason", "step"),
    [
        (at_twenty_five, "raised ValueError: no more than 25 steps at this rate", 21),
        (when_judged, "raised ArithmeticError", 8),
    ],
)
def test_a_trial_that_raises_ends_and_the_others_are_as_without_it(
    data: Data, complains: Callable[[float, bool, int], None], reason: str, step: int
) -> None:
    """In training at the third trial's 26th forward, of which four were taken to measure a step; in evaluation at once."""
    ill_history, well_history = History(), History()
    outcomes, kept, said = climbed(run(data, complains, history=ill_history), RUNGS)
    others = [0, 1, 3, 4]
    assert_same(climbed(run(data, never, others, history=well_history), RUNGS)[:2], (outcomes, kept))
    lost = outcomes[2]
    assert (lost.failed, lost.usable, lost.diverged, lost.reason, lost.step) == (True, False, False, reason, step)
    for trial in others:
        assert ill_history.epochs(trial) == well_history.epochs(trial)
        assert ill_history.steps(trial) == well_history.steps(trial)
    assert len(said) == 1 or complains is when_judged
    assert reason in said[-1]


def test_when_every_trial_raises_the_climb_ends_and_all_are_named(data: Data) -> None:
    def always(_rate: float, _training: bool, _forwards: int) -> None:
        raise RuntimeError("broken")

    outcomes, _, said = climbed(run(data, always), RUNGS)
    assert {t: o.reason for t, o in outcomes.items()} == dict.fromkeys(range(K), "raised RuntimeError: broken")
    assert said == ["trial 0 and 4 more ended at step 0: raised RuntimeError: broken."]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()], ids=repr)
def test_where_memory_runs_out_the_run_goes_on_in_halves(
    data: Data, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    whole = climbed(run(data, never), RUNGS)
    made = run(data, never)
    kind, step = type(made.population), type(made.population).step

    def tight(population: object, *args: object, **more: object) -> object:
        if len(population) > 2 and population.steps >= 13:  # type: ignore[arg-type, attr-defined]
            raise error
        return step(population, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "step", tight)
    outcomes, kept, said = climbed(made, RUNGS)
    assert_same(whole[:2], (outcomes, kept))
    assert said == [
        "out of memory with 5 trials at once: trials 0 to 4 go on in two halves, one after the other.",
        "out of memory with 3 trials at once: trials 0 to 2 go on in two halves, one after the other.",
    ]


def test_where_there_is_no_memory_for_halves_the_run_ends_and_others_go_on(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed, other = run(data, never, [0, 1, 3]), run(data, never, [4])

    def full(*_args: object, **_more: object) -> None:
        raise MemoryError

    monkeypatch.setattr(doomed.population, "step", full)
    monkeypatch.setattr(doomed, "split", full)
    outcomes = Climb([doomed, other], RUNGS).go()
    assert {t: o.reason for t, o in outcomes.items()} == {**dict.fromkeys([0, 1, 3], "out of memory"), 4: None}


def test_a_trial_that_finds_no_memory_alone_is_lost(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(data, never)
    kind, step = type(made.population), type(made.population).step

    def tight(population: object, *args: object, **more: object) -> object:
        if 3 in population.seeds:  # type: ignore[attr-defined]
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: not enough memory: you tried")
        return step(population, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "step", tight)
    outcomes, _, _ = climbed(made, RUNGS)
    assert {t for t, o in outcomes.items() if o.failed} == {3}
    assert outcomes[3].reason == "out of memory"


def test_what_fails_only_together_is_trained_apart(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = climbed(run(data, never), RUNGS)
    made = run(data, never)
    kind, step = type(made.population), type(made.population).step

    def sociable(population: object, *args: object, **more: object) -> object:
        if len(population) > 1:  # type: ignore[arg-type]
            raise NotImplementedError("no rule for so many")
        return step(population, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(kind, "step", sociable)
    outcomes, kept, said = climbed(made, RUNGS)
    assert_same(whole[:2], (outcomes, kept))
    assert "raised together what none raises alone (raised NotImplementedError: no rule for so many)" in said[0]


def test_a_listener_that_raises_is_no_fault_of_a_trial(data: Data) -> None:
    class StopError(Exception): ...

    def stop(_row: dict[str, float]) -> None:
        raise StopError

    with pytest.raises(StopError):
        climbed(run(data, never, history=History(stop)))


def test_a_climb_that_was_split_is_restored_as_it_was(data: Data) -> None:
    made = run(data, never)
    climb = Climb([made], RUNGS, keep=1.0)
    made.advance(13)
    climb._replaced(made, MemoryError())
    climb.runs[0].keep([0, 2])
    saved = climb.snapshot()
    again = Climb([run(data, never)], RUNGS, keep=1.0)
    again.restore(saved)
    assert [one.trials for one in again.runs] == [[0, 2], [3, 4]]
    assert again.go() == climb.go()
    for one, other in zip(climb.runs, again.runs, strict=True):
        assert torch.equal(one.population.stack.flat, other.population.stack.flat)


def test_a_reason_is_one_line() -> None:
    assert reason_of(KeyError("a\nb")) == "raised KeyError: 'a\\nb'"
    assert reason_of(ValueError("x" * 500)) == f"raised ValueError: {'x' * 200}"

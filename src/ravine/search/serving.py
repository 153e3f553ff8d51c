"""Runs that are served: asked for in messages, here or on another machine, and answered one after the other.

What serves does not know who asks, nor how the messages travel: a pipe of a fork, an actor of Ray, or a call in this
process.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ravine.data import Data
from ravine.engines import Engine, StepRecord
from ravine.engines.memory import out_of_memory
from ravine.models import Model
from ravine.search.failures import reason_of
from ravine.search.remote_run import Answer, EpochRow, Key, StepRow
from ravine.training import History, Run, Setting, State

__all__ = ["Order", "Served", "Workshop"]


@dataclass(frozen=True)
class Order:
    """A run to be built where it will train: what its trials are, without data and model. The fields are those of `Run`."""

    settings: Mapping[int, Setting]  # by trial
    model_settings: Mapping[str, Any]
    steps: int
    steps_per_epoch: int
    probe: int
    every: int
    engine: Engine = "auto"

    def only(self, trials: Iterable[int]) -> Order:
        return replace(self, settings={trial: self.settings[trial] for trial in trials})


@dataclass(frozen=True)
class Workshop:
    """What every order needs to become a run: the same for all of them, so it goes to a machine once."""

    data: Data
    model: Model
    device: torch.device | str = "cpu"

    def build(self, order: Order, history: History) -> Run:
        return Run(
            self.data,
            replace(self.model, settings=dict(order.model_settings)),
            list(order.settings.values()),
            steps=order.steps,
            trials=list(order.settings),
            history=history,
            probe=order.probe,
            every=order.every,
            engine=order.engine,
            device=self.device,
        )


class Served:
    """Runs by key, and what becomes of a message to one of them.

    runs: those that are there already. workshop: for those that are ordered. A message is a key, the name of a method of
    `Run`, and its arguments; beside these there are `build` (order, state to go on from or None) and `drop`, and `seconds` in
    place of a deadline, for clocks of two machines have nothing in common.
    """

    def __init__(self, runs: Mapping[Key, Run] | None = None, workshop: Workshop | None = None) -> None:
        self._runs, self._workshop, self._seen = dict(runs or {}), workshop, _Seen()
        for run in self._runs.values():
            run.history, run.between = self._seen, _nothing
            _new_best(run)

    def answer(self, key: Key, method: str, args: Sequence[Any], named: Mapping[str, Any]) -> Answer:
        """What the method comes to; what it raises is in the answer."""
        if method == "drop":
            self._runs.pop(key, None)
            return Answer(None, None, False, 0, [], [])
        if "seconds" in named:
            named = {"deadline": time.monotonic() + named["seconds"]}
        error: Exception | None = None
        value: Any = None
        try:
            value = self._build(key, *args) if method == "build" else getattr(self._runs[key], method)(*args, **named)
        except Exception as raised:
            error = raised
        run = self._runs.get(key)
        if run is None:  # it could not be built
            return Answer(value, _traced(error), False, 0, [], [])
        fault, run.fault = error is not None and error is run.fault, None
        if method == "split" and error is None:
            parts: list[Run] = value
            value = [list(part.best) for part in parts]
            del self._runs[key]
            self._runs.update({(*key, i): part for i, part in enumerate(parts)})
        return Answer(value, error if fault else _traced(error), fault, run.step, self._seen.taken(), _new_best(run))

    def _build(self, key: Key, order: Order, saved: State | None) -> dict[int, str]:
        """Make a run of those trials of an order that can be built; a reason for each of the others."""
        assert self._workshop is not None
        run, lost = _sound(order, lambda some: self._workshop.build(some, self._seen))  # type: ignore[union-attr]
        if run is not None:
            if saved is not None:  # of exactly these trials: their places among those of the whole order are no matter
                run.restore({**saved, "places": range(len(order.settings))})
            self._runs[key] = run
        return lost


def _sound(order: Order, build: Callable[[Order], Run]) -> tuple[Run | None, dict[int, str]]:
    """The run of an order without the trials that cannot be built alone."""
    try:
        return build(order), {}
    except Exception as error:
        if out_of_memory(error) and len(order.settings) > 1:
            raise
        together = error
    lost: dict[int, str] = {}
    for trial in order.settings:
        try:
            build(order.only([trial]))
        except Exception as error:
            lost[trial] = reason_of(error)
    if not lost:  # each can be built, and all cannot: whatever it is, it is no trial's
        raise together
    left = [trial for trial in order.settings if trial not in lost]
    return (build(order.only(left)) if left else None), lost


def _traced(error: Exception | None) -> Exception | None:
    """The exception with where it was raised, which does not travel by itself."""
    if error is not None:
        error.add_note("".join(traceback.format_exception(error)))
    return error


def _new_best(run: Run) -> list[dict[str, Any]]:
    """The best weights that are new, to be sent; a record without weights is left, to which later ones are compared."""
    new = [kept for kept in run.best.values() if kept.state]
    run.best |= {kept.trial: replace(kept, state={}) for kept in new}
    return [{name: value for name, value in kept.snapshot().items() if name != "model_settings"} for kept in new]


class _Seen(History):
    """Rows on their way to the history."""

    def __init__(self) -> None:
        self._rows: list[StepRow | EpochRow] = []

    def step(self, trials: Sequence[int], step: int, lr: Sequence[float], record: StepRecord) -> None:
        self._rows.append(StepRow(step, tuple(trials), list(lr), torch.stack(record)))

    def epoch(self, **row: float) -> None:
        self._rows.append(EpochRow(int(row["step"]), row))

    def taken(self) -> list[StepRow | EpochRow]:
        """The rows since the last time."""
        rows, self._rows = self._rows, []
        return rows


def _nothing() -> None:
    """What serves writes no states."""

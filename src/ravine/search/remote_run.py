"""A run that a worker holds, as the search sees it: asked and answered in messages, several of them at the same time.

What belongs to all runs together is on this side: the best weights of each trial, and the rows of the history.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ravine.engines import StepRecord
from ravine.training import History, Kept, Run, Setting
from ravine.types import Metrics

__all__ = ["Answer", "AnyRun", "EpochRow", "Key", "RemoteRun", "StepRow", "Worker", "handed_over", "tell"]

Key = tuple[int, ...]
"""The name of a run, by which runs are ordered: (2,) is the third of those handed over, (2, 0) and (2, 1) its halves."""


class StepRow(NamedTuple):
    """What `History.step` is told."""

    step: int
    trials: tuple[int, ...]
    lr: list[float]
    record: Tensor  # a StepRecord as one tensor, [3, K]


class EpochRow(NamedTuple):
    """What `History.epoch` is told."""

    step: int
    row: dict[str, float]


class Answer(NamedTuple):
    """What a method of a run came to."""

    value: Any
    error: Exception | None  # that it raised
    fault: bool  # which is the run's `fault`
    step: int  # where the run stands
    rows: list[StepRow | EpochRow]  # of the history, since the last answer
    best: list[dict[str, Any]]  # weights better than before: `Kept.snapshot`, less the settings of the model


class Worker(Protocol):
    """Who has runs, by key, and calls their methods in the order in which it is asked to."""

    def ask(self, key: Key, method: str, *args: Any, **named: Any) -> None: ...

    def answer(self, key: Key) -> Answer: ...


@dataclass(eq=False)
class RemoteRun:
    """What a climb needs of a `Run`, under the same names and with the same meaning. One method of it is under way at a time."""

    worker: Worker | None  # None: it waits for one
    key: Key
    rows: list[tuple[Key, StepRow | EpochRow]]  # of all runs, until they are sorted into the history
    trials: list[int]
    step: int
    steps_per_epoch: int
    settings: Mapping[int, Setting]  # by trial
    model_settings: Mapping[str, Any]
    best: dict[int, Kept]
    fault: Exception | None = None
    _begun: bool = field(default=False, repr=False)

    def begin(self, method: str, *args: Any, **named: Any) -> None:
        """Set the worker to a method that will be called next, with the same arguments; until then others may begin theirs."""
        assert self.worker is not None
        self.worker.ask(self.key, method, *args, **named)
        self._begun = True

    def forget(self) -> None:
        """What was begun, and what was seen since the history was told, is given up: the worker is no more."""
        self._begun = False
        self.rows.clear()

    def build(self, order: Any, saved: Mapping[str, Any] | None) -> dict[int, str]:
        """Where the worker is one that takes orders: why trials are lost that cannot be built."""
        lost: dict[int, str] = self._call("build", order, saved)
        return lost

    def advance(self, steps: int, *, deadline: float = math.inf) -> bool:
        return bool(self._call("advance", steps, deadline=deadline))

    def evaluate(self) -> list[Metrics]:
        found: list[Metrics] = self._call("evaluate")
        return found

    def keep(self, index: Sequence[int]) -> None:
        self._call("keep", list(index))
        self.trials = [self.trials[k] for k in index]

    def culprits(self) -> dict[int, Exception]:
        """As of `Run`; an exception whose class cannot be sent is another one of the same name."""
        found: dict[int, Exception] = self._call("culprits")
        return found

    def split(self, *parts: Sequence[int]) -> list[RemoteRun]:
        of_parts: list[list[int]] = self._call("split", *(list(part) for part in parts))
        return [
            replace(
                self,
                key=(*self.key, i),
                trials=[self.trials[k] for k in index],
                best={trial: self.best[trial] for trial in known},
            )
            for i, (index, known) in enumerate(zip(parts, of_parts, strict=True))
        ]

    def snapshot(self) -> dict[str, Any]:
        """As of `Run`, to be restored by one."""
        best = [kept.snapshot() for kept in self.best.values()]
        return {**self._call("snapshot"), "trials": list(self.trials), "best": best}

    def _call(self, method: str, *args: Any, **named: Any) -> Any:
        if not self._begun:
            self.begin(method, *args, **named)
        self._begun = False
        assert self.worker is not None
        answer = self.worker.answer(self.key)
        self.step = answer.step
        self.rows += [(self.key, row) for row in answer.rows]
        for one in answer.best:
            trial = one["trial"]
            self.best[trial] = Kept(**one, setting=self.settings[trial], model_settings=self.model_settings)
        if answer.error is not None:
            if answer.fault:
                self.fault = answer.error
            raise answer.error
        return answer.value


AnyRun = Run | RemoteRun
"""A run here or with a worker."""


def handed_over(run: Run, worker: Worker, key: Key, rows: list[tuple[Key, StepRow | EpochRow]]) -> RemoteRun:
    """What stands for a run that `worker` has under this key."""
    return RemoteRun(
        worker,
        key,
        rows,
        list(run.trials),
        run.step,
        run.steps_per_epoch,
        dict(zip(run.trials, run.settings, strict=False)),  # a run whose trials have all ended keeps its settings
        run.model_settings,
        dict(run.best),
    )


def tell(history: History, rows: Iterable[tuple[Key, StepRow | EpochRow]]) -> None:
    """Write rows of runs into the history, in this order."""
    for _, row in rows:
        if isinstance(row, StepRow):
            history.step(row.trials, row.step, row.lr, StepRecord(*row.record))
        else:
            history.epoch(**row.row)

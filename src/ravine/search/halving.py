"""Successive halving over runs: train all, drop the worse half, train on, until the rungs are climbed.

Trials in different runs (groups of one structure) are compared with each other at the same number of
steps, each by the best it has reached so far: of the ways measured in benchmarks/rungs.py that agrees best with
how trials end, for a single evaluation is noisy. Source: Jamieson & Talwalkar 2016.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from ravine.search.failures import mended
from ravine.search.remote_run import AnyRun, RemoteRun
from ravine.search.workers import Workers
from ravine.training import History, Run, rank
from ravine.types import Metrics

__all__ = ["Climb", "Outcome", "climb", "survivors"]


Done = TypeVar("Done")

SLICE = 10  # steps that one run takes before the next has its turn

TURN = 1.0  # seconds that runs in other processes are left alone, or one step: all wait for the slowest, and states are written


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its last metrics, where, and why it was stopped (None: it went all the way)."""

    trial: int
    metrics: Metrics
    step: int
    epoch: int
    reason: str | None
    failed: bool = False  # its model or loss raised, or there was no memory for it alone; `metrics` is empty then

    @property
    def diverged(self) -> bool:
        return not self.failed and rank(self.metrics)[0] == -math.inf

    @property
    def usable(self) -> bool:
        """Whether its weights are worth anything."""
        return not self.failed and not self.diverged


def climb(
    runs: Sequence[Run],
    rungs: Sequence[int],
    *,
    keep: float = 0.5,
    least: int = 1,
    deadline: float = math.inf,
    on_rung: Callable[[int, dict[int, Metrics]], None] = lambda _step, _metrics: None,
    on_slice: Callable[[int, int], None] = lambda _step, _trials: None,
    say: Callable[[str], None] = lambda _note: None,
) -> dict[int, Outcome]:
    """Train to each rung (a step number, rising); after each but the last keep the best `keep`, at least `least`.

    deadline: time.monotonic seconds; when it comes, the trials are ranked as they stand. A trial that is not
    finite is dropped at once, and so is one whose model or loss raises. on_slice: told (step, trials alive) every few
    steps; say: in one line, what became of a run that raised. Returns an outcome for every trial.
    """
    return Climb(runs, rungs, keep=keep, least=least, deadline=deadline, say=say).go(on_rung=on_rung, on_slice=on_slice)


class Climb:
    """A climb under way, as `climb`; a snapshot may be taken before any step of its runs, and when a rung is behind. Of runs
    in other processes it is taken when on_slice is told, or a rung is behind.

    runs: as they go on, which changes when one raises (`mended`).
    """

    def __init__(
        self,
        runs: Sequence[Run],
        rungs: Sequence[int],
        *,
        keep: float = 0.5,
        least: int = 1,
        deadline: float = math.inf,
        say: Callable[[str], None] = lambda _note: None,
    ) -> None:
        self.runs: list[AnyRun] = list(runs)
        self.rungs, self.deadline = rungs, deadline
        self._of = list(range(len(self.runs)))  # which of the runs given each is, or is a part of
        self.share, self.least, self.say = keep, least, say
        self.seen: list[tuple[int, dict[int, Metrics]]] = []  # (step, metrics of each trial) of the rungs behind
        self.ended: dict[int, Outcome] = {}
        self.over = False
        self._pace = _Pace(deadline)
        self._slice, self._workers = SLICE, cast("Workers | None", None)

    def hand_over(self, count: int, history: History) -> Workers:
        """Give the runs to at most `count` workers, which train at the same time; they end with the context that comes back."""
        self._workers = Workers(cast("list[Run]", self.runs), count, history)
        self.runs, self._slice = list(self._workers.runs), 1
        return self._workers

    def go(
        self,
        *,
        on_rung: Callable[[int, dict[int, Metrics]], None] = lambda _step, _metrics: None,
        on_slice: Callable[[int, int], None] = lambda _step, _trials: None,
        on_decided: Callable[[], None] = lambda: None,
    ) -> dict[int, Outcome]:
        """Climb what is left. on_decided: called when a rung is behind and its losers are named, before on_rung is told.

        A climb that was restored tells on_rung of the rungs behind it once more: it may have ended before it could.
        """
        for step, metrics in self.seen:
            on_rung(step, metrics)
        while not self.over:
            self._climb_one(on_slice)
            on_decided()
            on_rung(*self.seen[-1])
        return self.ended

    def _climb_one(self, on_slice: Callable[[int, int], None]) -> None:
        """Train to the next rung and part the trials there."""
        behind = len(self.seen)
        before, rung = (self.rungs[behind - 1] if behind else 0), self.rungs[behind]
        in_time = self._pace.timed(lambda: self._train_to(before, rung, on_slice))
        self._begin(lambda run: run.begin("evaluate"))
        pairs = [pair for run in self._alive for pair in self._attempt(run, lambda run: run.evaluate())]
        self._tell()
        alive = self._alive
        seen = {trial: m for run, metrics in pairs for trial, m in zip(run.trials, metrics, strict=True)}
        so_far = {trial: run.best[trial].validation for run in alive for trial in run.trials}
        last = rung == self.rungs[-1] or not in_time or time.monotonic() >= self.deadline
        wanted = len(seen) if last else max(self.least, math.ceil(self.share * len(seen)))
        affordable = len(seen) if last else self._pace.affordable(self.rungs[-1] - rung)
        chosen = survivors(seen, max(1, min(wanted, affordable)), so_far)
        for run in alive:
            _drop(run, seen, chosen, self.ended, hurried=affordable < wanted)
        self.seen.append((rung, seen))
        self.over = last or not any(len(run.trials) for run in alive)
        if last:
            for run in alive:
                for trial in run.trials:
                    self.ended[trial] = Outcome(trial, seen[trial], run.step, _epoch(run), None)

    @property
    def _alive(self) -> list[AnyRun]:
        return [run for run in self.runs if len(run.trials)]

    def _train_to(self, start: int, rung: int, on_slice: Callable[[int, int], None]) -> bool:
        """Bring every run from the rung `start` to the next, in slices, so that a deadline finds them equally far.

        Slices begin at `start` wherever the runs are, so that a climb that was cut short takes its turns in the same order.
        """
        end = start
        while end < rung:
            end, began = min(end + self._slice, rung), time.monotonic()
            if all(run.step >= end for run in self._alive):
                continue
            self._begin(lambda run, end=end: run.begin("advance", end - run.step, deadline=self.deadline))  # type: ignore[misc]
            done = [
                pair
                for run in self._alive
                for pair in self._attempt(run, lambda run, end=end: self._advance(run, end))  # type: ignore[misc]
            ]
            self._tell()
            if not all(in_time for _, in_time in done):
                return False
            on_slice(end, sum(len(run.trials) for run in self.runs))
            if self._workers is not None:  # as many steps as take a TURN
                self._slice = max(1, int(self._slice * TURN / (time.monotonic() - began)))
        return True

    def _begin(self, work: Callable[[RemoteRun], None]) -> None:
        """Let runs in other processes begin what each will be asked for in its turn."""
        for run in self._alive:
            if isinstance(run, RemoteRun):
                work(run)

    def _tell(self) -> None:
        """What was seen in other processes comes into the history."""
        if self._workers is not None:
            self._workers.tell()

    def _advance(self, run: AnyRun, end: int) -> bool:
        before = run.step
        try:
            return run.advance(end - before, deadline=self.deadline)
        finally:
            self._pace.steps += (run.step - before) * len(run.trials)

    def _attempt(self, run: AnyRun, work: Callable[[AnyRun], Done]) -> list[tuple[AnyRun, Done]]:
        """What `work` comes to on a run, or on each of those that go on in its place where it raises."""
        try:
            return [(run, work(run))]
        except Exception as error:
            if error is not run.fault:
                raise
            fault, run.fault = error.with_traceback(None), None  # a traceback would keep the step's memory alive
        instead = self._replaced(run, fault)
        return [pair for one in instead if len(one.trials) for pair in self._attempt(one, work)]

    def _replaced(self, run: AnyRun, fault: Exception) -> Sequence[AnyRun]:
        """Put what goes on in the place of a run that raised, and end the trials at fault."""
        found = mended(run, fault)
        at = next(i for i, one in enumerate(self.runs) if one is run)
        self.runs[at : at + 1] = found.runs
        self._of[at : at + 1] = [self._of[at]] * len(found.runs)
        for trial, reason in found.lost.items():
            self.ended[trial] = Outcome(trial, {}, run.step, _epoch(run), reason, failed=True)
        self.say(found.note)
        return found.runs

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs to go on to the same outcomes, but for the histories of the runs."""
        return {
            "of": self._of,
            "runs": [run.snapshot() for run in self.runs],
            "seen": [[step, list(metrics.items())] for step, metrics in self.seen],
            "ended": [dataclasses.asdict(outcome) for outcome in self.ended.values()],
            "over": self.over,
            "pace": [self._pace.seconds, self._pace.steps],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from the snapshot of a climb of the same runs over the same rungs."""
        pairs = list(zip(saved["of"], saved["runs"], strict=True))
        parts = [[its for of, its in pairs if of == i] for i in range(len(self.runs))]
        self.runs = [
            part for run, its in zip(cast("list[Run]", self.runs), parts, strict=True) for part in _restored(run, its)
        ]
        self._of = list(saved["of"])
        self.seen = [(step, dict(metrics)) for step, metrics in saved["seen"]]
        self.ended = {one["trial"]: Outcome(**one) for one in saved["ended"]}
        self.over = saved["over"]
        self._pace.seconds, self._pace.steps = saved["pace"]


def survivors(seen: Mapping[int, Metrics], wanted: int, so_far: Mapping[int, Metrics] | None = None) -> set[int]:
    """Of the trials that are finite now, the `wanted` best by what each has reached so far.

    so_far: each trial's best up to this step; `seen` where it is not given.
    """
    so_far = so_far or seen
    finite = [trial for trial, metrics in seen.items() if rank(metrics)[0] > -math.inf]
    return set(sorted(finite, key=lambda trial: rank(so_far[trial]), reverse=True)[:wanted])


def _restored(run: Run, saved: Sequence[Mapping[str, Any]]) -> list[Run]:
    """A run, split as the one was whose parts were saved."""
    if len(saved) == 1:
        run.restore(saved[0])
        return [run]
    parts = run.split(*(its["places"] for its in saved))
    for part, its in zip(parts, saved, strict=True):
        part.restore({**its, "places": range(len(its["places"]))})
    return parts


class _Pace:
    """What a step of one trial costs, evaluation included, so that a plan that was too bold is cut in time."""

    def __init__(self, deadline: float) -> None:
        self.deadline, self.seconds, self.steps = deadline, 0.0, 0

    def timed(self, work: Callable[[], bool]) -> bool:
        start = time.monotonic()
        done = work()
        self.seconds += time.monotonic() - start
        return done

    def affordable(self, steps: int) -> int:
        """How many trials can take so many further steps before the deadline."""
        left = self.deadline - time.monotonic()
        if left == math.inf or not self.steps:
            return 10**9
        return int(left / (self.seconds / self.steps * max(steps, 1)))


def _drop(run: AnyRun, seen: dict[int, Metrics], chosen: set[int], ended: dict[int, Outcome], *, hurried: bool) -> None:
    for trial in run.trials:
        if trial not in chosen:
            finite = rank(seen[trial])[0] > -math.inf
            behind = f"behind at step {run.step}" + (", when time was short" if hurried else "")
            reason = behind if finite else f"loss not finite by step {run.step}"
            ended[trial] = Outcome(trial, seen[trial], run.step, _epoch(run), reason)
    kept = [k for k, trial in enumerate(run.trials) if trial in chosen]
    if len(kept) < len(run.trials):
        run.keep(kept) if kept else run.trials.clear()


def _epoch(run: AnyRun) -> int:
    return -(-run.step // run.steps_per_epoch)

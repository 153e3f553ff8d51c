"""Successive halving over runs: train all, drop the worse half, train on, until the rungs are climbed.

Trials in different runs (groups of one structure) are compared with each other at the same number of
steps. Source: Jamieson & Talwalkar 2016.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ravine.training import Run, rank
from ravine.types import Metrics

__all__ = ["Outcome", "climb", "survivors"]


SLICE = 10  # steps that one run takes before the next has its turn


@dataclass(frozen=True)
class Outcome:
    """How a trial ended: its last metrics, where, and why it was stopped (None: it went all the way)."""

    trial: int
    metrics: Metrics
    step: int
    epoch: int
    reason: str | None

    @property
    def diverged(self) -> bool:
        return rank(self.metrics)[0] == -math.inf


def climb(
    runs: Sequence[Run],
    rungs: Sequence[int],
    *,
    keep: float = 0.5,
    least: int = 1,
    deadline: float = math.inf,
    on_rung: Callable[[int, dict[int, Metrics]], None] = lambda _step, _metrics: None,
    on_slice: Callable[[int, int], None] = lambda _step, _trials: None,
) -> dict[int, Outcome]:
    """Train to each rung (a step number, rising); after each but the last keep the best `keep`, at least `least`.

    deadline: time.monotonic seconds; when it comes, the trials are ranked as they stand. A trial that is not
    finite is dropped at once. on_slice: told (step, trials alive) every few steps. Returns an outcome for every trial.
    """
    ended: dict[int, Outcome] = {}
    pace = _Pace(deadline)
    alive = [run for run in runs if len(run.trials)]
    for position, rung in enumerate(rungs):
        in_time = pace.timed(alive, lambda rung=rung, alive=alive: _train_to(alive, rung, deadline, on_slice))  # type: ignore[misc]
        seen = {trial: m for run in alive for trial, m in zip(run.trials, run.evaluate(), strict=True)}
        on_rung(rung, seen)
        last = position == len(rungs) - 1 or not in_time or time.monotonic() >= deadline
        wanted = len(seen) if last else max(least, math.ceil(keep * len(seen)))
        affordable = len(seen) if last else pace.affordable(rungs[-1] - rung)
        chosen = survivors(seen, max(1, min(wanted, affordable)))
        for run in alive:
            _drop(run, seen, chosen, ended, hurried=affordable < wanted)
        alive = [run for run in alive if len(run.trials)]
        if last or not alive:
            break
    for run in alive:
        for trial in run.trials:
            ended[trial] = Outcome(trial, seen[trial], run.step, _epoch(run), None)
    return ended


def survivors(seen: dict[int, Metrics], wanted: int) -> set[int]:
    """The best `wanted` trials that are finite."""
    finite = [trial for trial, metrics in seen.items() if rank(metrics)[0] > -math.inf]
    return set(sorted(finite, key=lambda trial: rank(seen[trial]), reverse=True)[:wanted])


def _train_to(runs: Sequence[Run], rung: int, deadline: float, on_slice: Callable[[int, int], None]) -> bool:
    """Bring every run to the rung, in slices, so that a deadline finds them equally far."""
    while any(run.step < rung for run in runs):
        slowest = min(run.step for run in runs)
        for run in runs:
            if not run.advance(min(slowest + SLICE, rung) - run.step, deadline=deadline):
                return False
        on_slice(min(slowest + SLICE, rung), sum(len(run.trials) for run in runs))
    return True


class _Pace:
    """What a step of one trial costs, evaluation included, so that a plan that was too bold is cut in time."""

    def __init__(self, deadline: float) -> None:
        self.deadline, self.seconds, self.steps = deadline, 0.0, 0

    def timed(self, runs: Sequence[Run], work: Callable[[], bool]) -> bool:
        start, before = time.monotonic(), {id(run): run.step for run in runs}
        done = work()
        self.seconds += time.monotonic() - start
        self.steps += sum((run.step - before[id(run)]) * len(run.trials) for run in runs)
        return done

    def affordable(self, steps: int) -> int:
        """How many trials can take so many further steps before the deadline."""
        left = self.deadline - time.monotonic()
        if left == math.inf or not self.steps:
            return 10**9
        return int(left / (self.seconds / self.steps * max(steps, 1)))


def _drop(run: Run, seen: dict[int, Metrics], chosen: set[int], ended: dict[int, Outcome], *, hurried: bool) -> None:
    for trial in run.trials:
        if trial not in chosen:
            finite = rank(seen[trial])[0] > -math.inf
            behind = f"behind at step {run.step}" + (", when time was short" if hurried else "")
            reason = behind if finite else f"loss not finite by step {run.step}"
            ended[trial] = Outcome(trial, seen[trial], run.step, _epoch(run), reason)
    kept = [k for k, trial in enumerate(run.trials) if trial in chosen]
    if len(kept) < len(run.trials):
        run.keep(kept) if kept else run.trials.clear()


def _epoch(run: Run) -> int:
    return -(-run.step // run.steps_per_epoch)

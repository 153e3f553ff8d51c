"""Step 3: the learning rates at which the loss drops markedly within about 100 steps.

Rates from 1e-6 to 10 are trained side by side on the same batches, from the same initialization, at a
constant rate each, for several seeds. Unlike a sweep that raises the rate within one run, a rate here is
judged by what it does alone; and fresh modules are trained, so the user's model is left as it was.

Letters: R rates, S seeds.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ravine.engines.memory import out_of_memory
from ravine.recipe.session import Session, seconds_left
from ravine.recipe.sharpness import compared
from ravine.recipe.verdict import Verdict
from ravine.training import Run, Setting, State

__all__ = ["LrRange", "find_range", "judge_ranges"]

LOWEST, DECADES = 1e-6, 7
STEPS = 100
LEAST = 30  # steps that are taken whatever the time
TAIL = 10  # steps whose median is the loss at the end


@dataclass(frozen=True)
class LrRange:
    """What one optimizer's rates did. Losses are of training batches."""

    rates: list[float]  # [R], rising
    initial_loss: float  # of the untrained model, on the batches of the end
    final_loss: list[list[float]]  # [R][S]; NaN where it diverged
    low: float  # the loss drops markedly from here ...
    high: float  # ... to here
    best: float  # the largest drop
    largest_safe: float  # below it no rate diverged or ended higher than it began, with any seed; NaN: none
    uncertainty_decades: float  # standard deviation of the best rate between seeds, grid included
    drop: float  # share of the initial loss that the best rate takes away
    steps: int
    seeds: int


def find_range(session: Session, optimizer: str, deadline: float = math.inf) -> LrRange:
    """Try all rates with one optimizer. With little time: fewer rates per decade, seeds and steps, in that order."""
    saver, name = session.saver, f"lr-range-{optimizer}"
    per_decade, seeds, steps = saver.decided(name, lambda: _grid(session, seconds_left(deadline)))
    rates = [LOWEST * 10 ** (i / per_decade) for i in range(DECADES * per_decade + 1)]
    sweep, start = _Sweep(session, optimizer, rates, steps, deadline), time.monotonic()
    with saver.going_on(name) as saved:
        if saved:
            sweep.restore(saved)
    if not sweep.over:
        with saver.during(name, sweep.snapshot):
            sweep.go(seeds)
            saver.save()
        session.pace = (time.monotonic() - start) / max(sweep.cost, 1)
    return read_range(rates, sweep.whole, sweep.steps)


def _grid(session: Session, seconds: float) -> Sequence[int]:
    """(rates per decade, seeds, steps) that fit. Half the rates diverge early, so a run costs about 2/3."""
    choices = ((3, 3, 100), (3, 2, 100), (2, 2, 100), (2, 2, 60), (1, 2, 60), (1, 2, 30))
    pace = 0.0 if math.isnan(session.pace) else session.pace
    fits = (c for c in choices if (DECADES * c[0] + 1) * c[1] * c[2] * pace * 0.67 <= seconds)
    return next(fits, choices[-1])


class _Sweep:
    """The rates of one optimizer under way, seed after seed, and each seed in waves of the rates that fit into memory."""

    def __init__(self, session: Session, optimizer: str, rates: Sequence[float], steps: int, deadline: float) -> None:
        self.session, self.optimizer, self.rates, self.deadline = session, optimizer, rates, deadline
        self.most = session.most  # rates in a wave
        self.steps = steps  # of every seed that is whole
        self.whole: list[list[list[float]]] = []  # their losses, [S][R][<= steps]
        self.here = steps  # of the seed under way: fewer when the deadline comes, at least LEAST
        self.losses: list[list[float]] = []  # of its waves behind
        self.run: Run | None = None  # its wave under way
        self.cost = 0  # trial-steps taken by this process
        self.over = False

    def go(self, seeds: int) -> None:
        """Train what is left. When time is up, the seeds that are whole decide."""
        while not self.over:
            done = self._finish_seed()
            if done < self.steps and self.whole:
                break
            self.steps = self.here = done
            self.whole.append(self.losses)
            self.losses = []
            self.over = len(self.whole) == seeds or time.monotonic() > self.deadline
        self.over = True

    def _finish_seed(self) -> int:
        """Train the waves that are left of this seed; how many steps those took that did not diverge."""
        while len(self.losses) < len(self.rates):
            try:
                self.run = self.run or self._next_wave()
                self._finish_wave(self.run, first=not self.losses)
            except Exception as error:
                if not out_of_memory(error) or len(self._wave) == 1:
                    raise
                said = f"out of memory with {len(self._wave)} rates at once: half as many are tried at a time."
                self.session.watch.note(said)
                self.most, self.run = (len(self._wave) + 1) // 2, None
                continue
            self.losses += [self.run.history.steps(i)["loss"] for i in self._wave]
            self.run = None
        return self.here

    @property
    def _wave(self) -> Sequence[int]:
        """The rates of the wave under way, by their places."""
        return range(len(self.losses), min(len(self.losses) + self.most, len(self.rates)))

    def _next_wave(self) -> Run:
        session, seed, wave = self.session, self.session.seed + len(self.whole), self._wave
        settings = [
            Setting(
                self.optimizer,
                lr=self.rates[i],
                schedule="constant",
                warmup=0.0,
                batch_size=session.batch_size,
                seed=seed,
            )
            for i in wave
        ]
        return Run(
            session.data,
            session.model,
            settings,
            steps=self.steps,
            trials=list(wave),
            probe=1,
            between=session.saver.safe,
            engine=session.engine,
            device=session.device,
        )

    def _finish_wave(self, run: Run, *, first: bool) -> None:
        while run.step < self.here and run.trials:
            before = run.step
            run.advance(min(10 - before % 10, self.here - before))
            self.cost += (run.step - before) * len(run.trials)
            said = f"{self.optimizer}, {len(run.trials)} rates at step {run.step}"
            self.session.watch.advance(run.step / self.here, said)
            _drop_lost(run)
            if first and time.monotonic() > self.deadline:
                self.here = max(run.step, min(LEAST, self.here))

    def snapshot(self) -> State:
        run = self.run
        return {
            "most": self.most,
            "steps": self.steps,
            "whole": self.whole,
            "here": self.here,
            "losses": self.losses,
            "run": None if run is None else run.snapshot(),
            "history": None if run is None else run.history.snapshot(),
            "over": self.over,
        }

    def restore(self, saved: State) -> None:
        """Go on from the snapshot of a sweep over the same rates."""
        self.steps, self.whole, self.here = saved["steps"], saved["whole"], saved["here"]
        self.most, self.losses, self.over = saved["most"], saved["losses"], saved["over"]
        if saved["run"] is not None:
            self.run = self._next_wave()
            self.run.restore(saved["run"])
            self.run.history.restore(saved["history"])


def _drop_lost(run: Run) -> None:
    """Stop the rates whose loss has left for good: not finite, or far above where it began."""
    steps = {trial: run.history.steps(trial)["loss"] for trial in run.trials}
    lost = [k for k, t in enumerate(run.trials) if not steps[t][-1] <= 20 * steps[t][0]]
    kept = [k for k in range(len(run.trials)) if k not in lost]
    if lost:
        run.keep(kept) if kept else run.trials.clear()


def read_range(rates: Sequence[float], curves: Sequence[Sequence[Sequence[float]]], steps: int) -> LrRange:
    """The range from loss curves [S][R][T]; a curve shorter than `steps` diverged."""
    starts = [_untrained(seed[0], steps) for seed in curves]
    initial = statistics.median(starts)
    final = [[_end(seed[i], steps) for seed in curves] for i in range(len(rates))]
    drops = [
        [start - loss if math.isfinite(loss) else -math.inf for start, loss in zip(starts, row, strict=True)]
        for row in final
    ]
    mean = [statistics.fmean(row) for row in drops]
    best = max(range(len(rates)), key=lambda i: mean[i])
    good = [min(row) >= 0.5 * mean[best] for row in drops]  # with every seed at least half of the best drop
    low, high = best, best
    while low > 0 and good[low - 1]:
        low -= 1
    while high < len(rates) - 1 and good[high + 1]:
        high += 1
    unsafe = [i for i, row in enumerate(drops) if not min(row) >= -0.05 * abs(initial)]
    safe = (unsafe[0] if unsafe else len(rates)) - 1
    return LrRange(
        rates=list(rates),
        initial_loss=initial,
        final_loss=final,
        low=rates[low],
        high=rates[high],
        best=rates[best],
        largest_safe=rates[safe] if safe >= 0 else math.nan,
        uncertainty_decades=_uncertainty(rates, drops),
        drop=mean[best] / abs(initial) if initial else 0.0,
        steps=steps,
        seeds=len(curves),
    )


def _untrained(lowest: Sequence[float], steps: int) -> float:
    """The loss that a rate's end is compared with: that of the lowest rate, on the same batches, where it learnt nothing.

    Small batches differ by more than a rate may change; so their losses at the beginning count only where the
    lowest rate has learnt markedly, or did not come to the end.
    """
    begin, end = statistics.median(lowest[:TAIL]), _end(lowest, steps)
    return end if end > 0.75 * begin else begin


def _end(curve: Sequence[float], steps: int) -> float:
    tail = list(curve[-TAIL:])
    return statistics.median(tail) if len(curve) == steps and all(map(math.isfinite, tail)) else math.nan


def _uncertainty(rates: Sequence[float], drops: Sequence[Sequence[float]]) -> float:
    """Spread of the best rate between seeds, in decades, and half a grid step that no seed can resolve."""
    columns = zip(*drops, strict=True)
    bests = [math.log10(rates[max(range(len(rates)), key=column.__getitem__)]) for column in columns]
    spread = statistics.stdev(bests) if len(bests) > 1 else 0.0
    return math.hypot(spread, math.log10(rates[1] / rates[0]) / 2)


def judge_ranges(ranges: dict[str, LrRange], curvature: dict[str, Any] | None = None) -> Verdict:
    """The verdict over every optimizer that was tried. curvature: from `sharpness_evidence`."""
    evidence: dict[str, Any] = {"optimizers": {name: asdict(found) for name, found in ranges.items()}}
    if curvature is not None:
        said = compared(curvature, {name: found.largest_safe for name, found in ranges.items()})
        evidence["curvature"] = {**curvature, "said": said}
    name, found = max(ranges.items(), key=lambda item: item[1].drop)
    factor = 10**found.uncertainty_decades
    summary = (
        f"With {name} the loss drops by {100 * found.drop:.0f} % in {found.steps} steps at lr {found.best:.2g} "
        f"(within a factor {factor:.1f}); rates from {found.low:.2g} to {found.high:.2g} do at least half as well."
    )
    if not found.drop >= 0.05:
        advice = (
            "No rate makes the loss drop: look at the scale of the inputs, at whether labels belong to inputs, and at a target "
            "of numbers that spans orders of magnitude (learn its logarithm).",
            "Where data is known to say little about its target, --keep-going goes on.",
        )
        seen = f"At no rate from {found.rates[0]:g} to {found.rates[-1]:g} does the loss drop by 5 % in {found.steps} steps."
        return Verdict("lr-range", "fail", seen, evidence, advice)
    unsure = found.uncertainty_decades > 0.75
    at_end = found.best in (found.rates[0], found.rates[-1])
    advice = (
        *((f"Seeds disagree by a factor {factor:.0f} on the best rate: search a wide range.",) if unsure else ()),
        *((f"The best rate {found.best:g} is the last one tried: rescale the inputs or the loss.",) if at_end else ()),
    )
    return Verdict("lr-range", "warn" if advice else "pass", summary, evidence, advice)

"""Training one setting to its end, once or as the members of an ensemble.

    independent   the same setting with other seeds, as one population (Lakshminarayanan et al. 2017)
    snapshots     one run whose rate falls and rises again; the weights at the foot of each cycle (Huang et al. 2017)
    checkpoints   one run; the weights at the end of each of its last epochs

A single training is `independent` of size 1.

Letters in shapes: K trials.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ravine.data import Data
from ravine.errors import SettingError, nearest
from ravine.models import Model
from ravine.regularization import EarlyStopping
from ravine.training.averages import AVERAGES, EMA, SWA, LastK
from ravine.training.objective import rank
from ravine.training.run import Averaging, Kept, Run
from ravine.training.saver import Saver
from ravine.training.setting import Setting
from ravine.training.snapshots import State
from ravine.types import Metrics

__all__ = ["KINDS", "Trained", "averaging_for", "plan", "train_members"]

KINDS = ("independent", "snapshots", "checkpoints")
"""How the members of an ensemble come to be: other seeds side by side, the ends of a cyclical rate, the last epochs."""


@dataclass(frozen=True)
class Trained:
    """A training that has ended: its members, best on validation first."""

    run: Run
    members: list[Kept]
    stopped: tuple[int, ...] = ()  # trials that patience ended early


def plan(kind: str, setting: Setting, size: int, steps: int, per_epoch: int) -> tuple[list[Setting], list[int]]:
    """The settings to train together, and the steps at which weights become members (none: the best of each trial).

    Raises SettingError for a kind that is not known, or more members than the steps have room for.
    """
    if kind not in KINDS:
        raise SettingError(f"ensemble {kind!r} is not known; {nearest(kind, KINDS)}")
    if not isinstance(size, int) or size < 1:
        raise SettingError(f"an ensemble of {size!r} has no members; its size is a whole number, 1 or more: write 5.")
    if kind == "independent":
        return [dataclasses.replace(setting, seed=setting.seed + i) for i in range(size)], []
    room = steps if kind == "snapshots" else max(1, steps // per_epoch)
    if size > room:
        what = "cycles of a step or more" if kind == "snapshots" else "epochs"
        raise SettingError(f"{size} {kind} need {size} {what}, and there are {room}: train longer, or take fewer.")
    if kind == "snapshots":
        cyclical = dataclasses.replace(setting, schedule="warm_restarts", cycles=size, warmup=0.0)
        return [cyclical], [steps * (i + 1) // size for i in range(size)]
    return [setting], [steps - per_epoch * i for i in reversed(range(size))]


def averaging_for(name: str, steps: int, per_epoch: int) -> Averaging:
    """How an average of AVERAGES goes along with a run of `steps` steps. Raises SettingError for an unknown name.

    swa: the end of every epoch of the second half. ema: every step, with a memory of a twentieth of the run, as the
    length of training sets the best one (Karras et al. 2024). last: the ends of the last five epochs.
    """
    if name not in AVERAGES:
        raise SettingError(f"average {name!r} is not known; {nearest(name, AVERAGES)}")
    if name == "ema":
        return Averaging(EMA(1 - 1 / max(2.0, steps / 20)))
    if name == "last":
        return Averaging(LastK(5), every=per_epoch)
    return Averaging(SWA(), every=per_epoch, start=max(per_epoch, steps // per_epoch // 2 * per_epoch))


def train_members(
    data: Data,
    model: Model,
    setting: Setting,
    *,
    steps: int,
    kind: str = "independent",
    size: int = 1,
    patience: int | None = None,
    averaging: Averaging | None = None,
    deadline: float = math.inf,
    on_epoch: Callable[[Run, Sequence[Metrics]], None] = lambda _run, _metrics: None,
    saver: Saver | None = None,
    make: Callable[..., Run] = Run,
    **more: Any,
) -> Trained:
    """Train for `steps` steps, evaluating after every epoch.

    patience: end a trial after so many evaluations without a better validation result; its best weights are kept.
    averaging: average the weights of each trial on the side. deadline: time.monotonic seconds at which to stop;
    members that were not reached are missing then, and the best weights stand in when there are none.
    on_epoch: told the run and the metrics of its trials. saver: writes the state of the training, and has the one to go
    on with. make: the kind of run. more: keywords of `Run`.
    """
    per_epoch = len(data.train) // min(setting.batch_size, len(data.train))
    settings, stops = plan(kind, setting, size, steps, per_epoch)
    saver = saver or Saver()
    run = make(data, model, settings, steps=steps, averaging=averaging, between=saver.safe, **more)
    training = _Training(run, stops, patience)
    with saver.going_on("train") as saved:
        if saved:
            training.restore(saved)
    if not training.over:
        with saver.during("train", training.snapshot):
            training.go(per_epoch, deadline, on_epoch)
            saver.save()
    members = sorted(training.taken or run.best.values(), key=lambda kept: rank(kept.validation), reverse=True)
    return Trained(run, members, tuple(training.stopped))


class _Training:
    """A training under way: the run, the members it has given, and whose patience is over."""

    def __init__(self, run: Run, stops: Sequence[int], patience: int | None) -> None:
        self.run, self.stops = run, stops
        patient = run.trials if patience is not None else []
        self.waiting = {trial: EarlyStopping(patience or 0, mode="max") for trial in patient}
        self.taken: list[Kept] = []
        self.stopped: list[int] = []
        self.over = False

    def go(self, per_epoch: int, deadline: float, on_epoch: Callable[[Run, Sequence[Metrics]], None]) -> None:
        """Train what is left, evaluating after every epoch and at every stop."""
        run = self.run
        while not run.finished and run.trials:
            ahead = [stop for stop in self.stops if stop > run.step]
            epoch_end = (run.step // per_epoch + 1) * per_epoch
            if not run.advance(min([epoch_end, *ahead]) - run.step, deadline=deadline):
                break
            metrics = run.evaluate()
            on_epoch(run, metrics)
            if run.step in self.stops:
                self.taken.append(dataclasses.replace(run.kept(0, metrics[0]), trial=len(self.taken)))
            self._drop_tired(metrics)
        if not run.finished and run.trials:
            run.evaluate()
        self.over = True

    def _drop_tired(self, metrics: Sequence[Metrics]) -> None:
        """Drop the trials whose patience is over."""
        run, waiting = self.run, self.waiting
        pairs = zip(run.trials, metrics, strict=True)
        done = [trial for trial, seen in pairs if trial in waiting and waiting[trial].update(rank(seen)[0])]
        left = [k for k, trial in enumerate(run.trials) if trial not in done]
        self.stopped += done
        if done and left:
            run.keep(left)
        elif done:
            run.trials.clear()

    def snapshot(self) -> State:
        return {
            "run": self.run.snapshot(),
            "history": self.run.history.snapshot(),
            "waiting": [[trial, stopping.state_dict()] for trial, stopping in self.waiting.items()],
            "taken": [kept.snapshot() for kept in self.taken],
            "stopped": self.stopped,
            "over": self.over,
        }

    def restore(self, saved: State) -> None:
        """Go on from the snapshot of a training that was given the same."""
        trial = self.run.trials[0]  # members that are taken on the way are all of the first
        self.run.restore(saved["run"])
        self.run.history.restore(saved["history"])
        for waits, state in saved["waiting"]:
            self.waiting[waits].load_state_dict(state)
        self.taken = [self.run.kept_again(one, trial) for one in saved["taken"]]
        self.stopped, self.over = list(saved["stopped"]), saved["over"]

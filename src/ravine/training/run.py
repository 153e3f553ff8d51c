"""The training loop: K settings of one structure over one data set, for a number of steps.

The caller holds the reins: `advance` trains, `evaluate` measures, `keep` drops the losers. Batches are a
pure function of (order seed, epoch), so a trial sees the same ones alone and in a stack. The last batch of
an epoch is left out when it is not full; which examples it holds changes with every epoch.

Letters in shapes: K trials, B batch, N examples, T steps.
"""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ravine.data import Data, MemorySplit, Split
from ravine.engines import Choice, Engine, Loss, Population
from ravine.engines.allocator import give_back, keep_freed_memory
from ravine.engines.stacking import momentum_of
from ravine.engines.threads import threads
from ravine.errors import SettingError
from ravine.models import Model
from ravine.randomness import permutation
from ravine.rules import Rule
from ravine.schedules import Point, Schedule, needs_metrics, point_at
from ravine.training.averages import WeightAverage
from ravine.training.batches import Batches, check_fit
from ravine.training.history import History
from ravine.training.objective import LOSSES, headline, losses_of, measure, rank
from ravine.training.setting import Setting
from ravine.training.snapshots import moved
from ravine.types import Metrics

__all__ = ["TRAIN_ROWS", "Averaging", "Kept", "Run", "outputs_on"]

Measured = tuple[dict[str, list[float]], dict[str, list[Metrics]]]
"""Losses and metrics of every trial, by split."""

TRAIN_ROWS = 2_000
"""Training rows looked at per evaluation: enough to see a gap, and no second validation in cost."""


@dataclass(frozen=True, eq=False)
class Kept:
    """The best weights of a trial so far, and what they reached on the validation split."""

    trial: int
    setting: Setting
    epoch: int
    horizon: int  # steps that its schedule was stretched over
    validation: Metrics
    state: dict[str, Tensor]
    model_settings: Mapping[str, Any] | None = None  # those of its model; None: the model is known without them

    def snapshot(self) -> dict[str, Any]:
        """All but the setting, which the run knows."""
        return {name: value for name, value in vars(self).items() if name != "setting"}


@dataclass(frozen=True)
class Averaging:
    """Weights averaged on the side: shown to `average` after every `every` steps from step `start` on."""

    average: WeightAverage
    every: int = 1
    start: int = 0


class Run:
    """Train `settings` together. They must share optimizer, batch size and `proximal` (else SettingError); the model's structure is one.

    steps: the horizon T that the schedules are stretched over.
    trials: a number for each setting, used in the history. probe: at most so many rows are looked at per
    evaluation, of training and of validation each (the same rows every time). every: evaluate after so many
    steps of itself, besides when asked. between: called before every step, where a snapshot is that of a moment.
    """

    def __init__(
        self,
        data: Data,
        model: Model,
        settings: Sequence[Setting],
        *,
        steps: int,
        trials: Sequence[int] | None = None,
        history: History | None = None,
        probe: int = 10_000,
        every: int | None = None,
        averaging: Averaging | None = None,
        between: Callable[[], None] = lambda: None,
        engine: Engine | Choice = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        sizes = sorted({s.batch_size for s in settings})
        if len(sizes) != 1 or len({s.proximal for s in settings}) != 1:
            what = f"one batch size, got {sizes}" if len(sizes) != 1 else "one way to penalize, got proximal and not"
            raise SettingError(f"a run needs settings of {what}: give each a run of its own.")
        keep_freed_memory()
        self.task, self.scale = data.task, data.preprocessing.target.std
        self.settings = list(settings)
        self.trials = list(trials) if trials is not None else list(range(len(settings)))
        self.history = history if history is not None else History()
        self.train = on_device(data.train, device)
        self.watched = {
            "train": probed(self.train, min(probe, TRAIN_ROWS)),
            "validation": probed(on_device(data.validation, device), probe),
        }
        self.batch_size = min(sizes[0], len(self.train))
        classes = data.outputs if data.task == "classification" else None
        for setting in settings:
            check_fit(dataclasses.replace(setting, batch_size=self.batch_size), data.task, data.input_shape)
        self.batches = Batches(self.train, settings, self.batch_size, classes=classes)
        self.steps_per_epoch = self.batches.per_epoch
        self.steps = steps
        self.shapes = [s.shape() for s in settings]
        self.plans = {shape: [point_at(shape, t / steps) for t in range(steps)] for shape in set(self.shapes)}
        self.measured: dict[int, list[tuple[float, float]]] = {trial: [] for trial in self.trials}
        modules = [
            model.build(s.seed, dropout=s.dropout, depth=s.stochastic_depth, scale=s.init_scale, device=device)
            for s in settings
        ]
        rules = [s.rule() for s in settings]
        self.momenta = [getattr(rule, momentum_of(rule) or "", 0.0) for rule in rules]
        self.population = self._populated(
            modules,
            rules,
            LOSSES[self.task],
            seeds=[s.seed for s in settings],
            engine=engine,
            penalties=[s.penalty() for s in settings],
            proximal=settings[0].proximal,
            limits=[s.constraint() for s in settings],
        )
        self.every, self.averaging, self.between = every, averaging, between
        self._given = dict(zip(self.trials, self.settings, strict=True))
        self._places = list(range(len(self.trials)))  # where the trials of the population stood among those given
        self.best: dict[int, Kept] = {}
        self.model_settings = dict(model.settings)
        self.fault: Exception | None = None  # the last that a step or an evaluation raised
        self._owed = False  # an evaluation of its own that raised, and is yet to be made
        self._last: tuple[int, list[Metrics]] = (-1, [])

    @property
    def step(self) -> int:
        """Steps taken."""
        return self.population.steps

    @property
    def finished(self) -> bool:
        return self.step >= self.steps

    def advance(self, steps: int, *, deadline: float = float("inf")) -> bool:
        """Take up to `steps` steps; False when `deadline` (time.monotonic seconds) came first."""
        for _ in range(min(steps, self.steps - self.step)):
            if self._owed:
                self.evaluate()
            self.between()
            if self._late(deadline):
                return False
            with threads(self.population.choice.threads):
                batch = self.batches.at(self.step)
                rates = self._follow_schedules()
                with self._blaming():
                    record = self.population.step(batch.x, batch.y, rates, own=batch.own, own_targets=batch.own_targets)
            self.history.step(self.trials, self.step, rates, record)
            self._show_weights()
            if self.every and self.step % self.every == 0:
                self._owed = True
                self.evaluate()
        return True

    def evaluate(self) -> list[Metrics]:
        """Metrics of every trial on the validation rows, [K]; the history and the best weights are brought up to date."""
        if self._last[0] == self.step:
            return self._last[1]
        with threads(self.population.choice.threads):
            with self._blaming():
                seen = {name: (outputs_on(self.population, split), split.y) for name, split in self.watched.items()}
            found = {name: losses_of(self.task, *pair).tolist() for name, pair in seen.items()}
            reached = {name: measure(self.task, *pair, scale=self.scale) for name, pair in seen.items()}
        losses, metrics = self._common((found, reached))
        epoch = -(-self.step // self.steps_per_epoch)
        for k, trial in enumerate(self.trials):
            self.history.epoch(
                trial=trial,
                epoch=epoch,
                step=self.step,
                train_loss=losses["train"][k],
                train_metric=metrics["train"][k][headline(self.task)],
                validation_loss=losses["validation"][k],
                validation_metric=metrics["validation"][k][headline(self.task)],
            )
            self.measured[trial].append((self.step / self.steps, losses["validation"][k]))
            self._remember(k, metrics["validation"][k])
        self._last, self._owed = (self.step, metrics["validation"]), False
        return metrics["validation"]

    def keep(self, index: Sequence[int]) -> None:
        """Drop every trial but those at the positions `index`."""
        self.population.keep(index)
        self.batches.keep(index)
        if self.averaging is not None and self.averaging.average.count:
            self.averaging.average.keep(torch.tensor(index, device=self.population.device))
        self.shapes = [self.shapes[k] for k in index]
        self.momenta = [self.momenta[k] for k in index]
        self.settings = [self.settings[k] for k in index]
        self.trials = [self.trials[k] for k in index]
        self._places = [self._places[k] for k in index]
        self._last = (-1, [])

    def culprits(self) -> dict[int, Exception]:
        """By position, what the trials raise whose next step raises when it is taken alone. Nothing moves."""
        batch = self.batches.at(self.step)
        return self.population.culprits(batch.x, batch.y, own=batch.own, own_targets=batch.own_targets)

    def split(self, *parts: Sequence[int]) -> list[Run]:
        """Several runs that go on as if nothing had happened, one for the trials at each of the lists of positions.

        No trial may go to two of them, and this run must not be used afterwards. The first takes the best weights of
        trials that were dropped before.
        """
        self._make_room()
        runs: list[Run] = []
        for index in parts:
            one = copy.copy(self)
            one.population, one.batches = self.population.twin(), copy.copy(self.batches)
            one.averaging = copy.deepcopy(self.averaging)
            one.keep(index)
            known = {*one.trials, *(() if runs else self.best.keys() - set(self.trials))}
            one.best = {trial: kept for trial, kept in self.best.items() if trial in known}
            runs.append(one)
        return runs

    def _make_room(self) -> None:
        """Give back what was freed: memory may be short where a run is split."""
        give_back()
        if self.population.device.type == "cuda":
            torch.cuda.empty_cache()

    def _populated(self, modules: Sequence[nn.Module], rules: Sequence[Rule], loss: Loss, **more: Any) -> Population:
        """What trains: here, all of it in this process."""
        return Population(modules, rules, loss, **more)

    def _late(self, deadline: float) -> bool:
        """Whether it is time to stop."""
        return time.monotonic() >= deadline

    def _common(self, measured: Measured) -> Measured:
        """What was measured, as everybody sees it whose decisions follow from it: here, nobody else does."""
        return measured

    @contextmanager
    def _blaming(self) -> Iterator[None]:
        """What is raised in here is the model's doing, or the machine's: `fault` tells it from what a listener raises."""
        try:
            yield
        except Exception as error:
            self.fault = error
            raise

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs to go on to the same bits, but for the history, which may be shared.

        Tensors are those in use: write them down before the next step.
        """
        return {
            "places": self._places,
            "trials": self.trials,
            "population": self.population.snapshot(),
            "measured": [[trial, pairs] for trial, pairs in self.measured.items()],
            "best": [kept.snapshot() for kept in self.best.values()],
            "last": self._last,
            "average": self.averaging.average.state_dict() if self.averaging is not None else None,
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from the snapshot of a run that was given the same: it has taken its steps and lost its trials."""
        self.keep(saved["places"])
        self.trials = list(saved["trials"])
        self.population.restore(saved["population"])
        self.measured = {trial: [(at, loss) for at, loss in pairs] for trial, pairs in saved["measured"]}
        self.best = {one["trial"]: self.kept_again(one) for one in saved["best"]}
        self._last = (saved["last"][0], saved["last"][1])
        if self.averaging is not None:
            self.averaging.average.load_state_dict(moved(saved["average"], self.population.device))

    def kept_again(self, saved: Mapping[str, Any], trial: int | None = None) -> Kept:
        """What `Kept.snapshot` gave, with the setting of the trial it is of, or of another one."""
        return Kept(**saved, setting=self._given[saved["trial"] if trial is None else trial])

    def kept(self, k: int, validation: Metrics) -> Kept:
        """A copy of the weights of the trial at position k as they are now."""
        epoch = -(-self.step // self.steps_per_epoch)
        state, built = self.population.state(k), self.model_settings
        return Kept(self.trials[k], self.settings[k], epoch, self.steps, validation, state, built)

    def averaged_state(self, k: int) -> dict[str, Tensor]:
        """The state_dict of the trial at position k with its averaged weights; buffers are those of its last step."""
        assert self.averaging is not None
        means = {name: value[k] for name, value in self.averaging.average.values().items()}
        return {**self.population.state(k), **means}

    def _show_weights(self) -> None:
        rule = self.averaging
        if rule is not None and self.step >= rule.start and (self.step - rule.start) % rule.every == 0:
            rule.average.update({name: leaf.detach() for name, leaf in self.population.stack.leaves.items()})

    def _follow_schedules(self) -> list[float]:
        """The rate of every trial at this step, [K]; a schedule that cycles the momentum moves it."""
        points = [self._point(shape, trial) for shape, trial in zip(self.shapes, self.trials, strict=True)]
        if any(point.momentum is not None for point in points):
            pairs = zip(points, self.momenta, strict=True)
            self.population.set_momentum([own if point.momentum is None else point.momentum for point, own in pairs])
        return [s.lr * point.factor for s, point in zip(self.settings, points, strict=True)]

    def _point(self, shape: Schedule, trial: int) -> Point:
        """What a trial's schedule asks for at this step: planned, unless it looks at what was measured."""
        if needs_metrics(shape):
            return point_at(shape, self.step / self.steps, self.measured[trial])
        return self.plans[shape][self.step]

    def _remember(self, k: int, validation: Metrics) -> None:
        trial = self.trials[k]
        if trial not in self.best or rank(validation) > rank(self.best[trial].validation):
            self.best[trial] = self.kept(k, validation)


def outputs_on(population: Population, split: Split, *, chunk: int = 1024) -> Tensor:
    """Outputs of every trial over a split in evaluation mode, [K, N, ...]."""
    parts = torch.arange(len(split), device=split.y.device).split(chunk)
    return torch.cat([population.outputs(split.batch(part)[0]) for part in parts], dim=1)


def on_device(split: Split, device: torch.device | str) -> Split:
    """A split held in memory moves to the device once; a streamed one is left where it is."""
    return split.to(torch.device(device)) if isinstance(split, MemorySplit) else split


def probed(split: Split, rows: int) -> Split:
    """At most `rows` rows, a fixed sample spread over the split, in memory when they were sampled."""
    if len(split) <= rows:
        return split
    index = permutation(len(split), 0, "probe")[:rows].sort().values.to(split.y.device)
    return MemorySplit(*split.batch(index))

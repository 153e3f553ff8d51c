"""The record of a search: a standard Optuna study, so that its own tools open it, in `study.db` or on a server.

A search that was killed is told again from its beginning: the same calls in the same order. A trial that was asked for
before is answered from the study, a report or an end that is there already is passed over, and what is not there
yet is written. So nothing is lost, nothing is done twice, and the rows become those of a search never stopped: a trial
is written whole, in one transaction, and its values follow from (seed, number, the trials before it) alone.

On a server several drivers share a study. Each trial says who asked for it and as the how manyth, so that a driver tells
its own again and leaves the others' alone; numbers are the study's, and what is drawn sees the trials of all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ravine.errors import SettingError
from ravine.search.heartbeats import BEAT
from ravine.search.hyperparameters import applying
from ravine.search.places import to_optuna
from ravine.search.samplers import RepeatableSampler
from ravine.search.space import Space
from ravine.search.study_file import STUDY_NAME, StudyFile, write_copy
from ravine.search.study_server import StudyServer, difference
from ravine.training import headline
from ravine.training.files import understood
from ravine.types import Metrics, Task

__all__ = ["STUDY_NAME", "Asked", "Study", "measured"]


@dataclass(frozen=True)
class Asked:
    """A trial handed out: its number in the study and the values drawn for it."""

    number: int
    params: Mapping[str, Any]


_End = tuple[TrialState, float | None, Any, Any]  # state, value, epochs, reason


@dataclass
class _Row:
    """A trial of ours, as it was asked for, and what was told of it: the value at each step, and its end when it has one."""

    id: int
    trial: FrozenTrial
    steps: dict[int, float]
    end: _End | None


def measured(task: Task) -> str:
    """The value of a trial, on validation rows."""
    return "accuracy" if headline(task) == "accuracy" else "rmse"


class Study:
    """A search over spaces, recorded in folder/study.db (in memory when there is no folder) or, shared, on a server.

    The value of a trial is its validation accuracy, or rmse in units of the target. sampler: a name in SAMPLERS.
    trials: how many are planned, for a grid; a shared grid is as fine as the driver said that began it. resume: go on with
    a study.db that stands there; without it, it is refused. server: where the study lies, its `driver` named. about: plain
    values that a driver must share with the one that began the study (what data they train on), or is refused.
    Raises FolderError or StorageError for that, for one that is damaged or of another search, and when it cannot be written.
    """

    def __init__(
        self,
        folder: Path | None,
        task: Task,
        seed: int,
        optimizers: Sequence[str],
        *,
        sampler: str = "random",
        trials: int = 64,
        resume: bool = False,
        server: StudyServer | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.measured = measured(task)
        self.optimizers = sorted(optimizers)
        self._store = server or StudyFile(folder, resume=resume)
        self._storage = self._store.storage
        self._sampler = RepeatableSampler(sampler, seed, trials=trials)
        self._rows: list[_Row] = []  # ours, in the order in which they were asked for
        self._numbered: dict[int, _Row] = {}  # the same, by their number in the study
        self._noted: dict[str, CategoricalDistribution] = {}  # the whole list of options of a name, as the study has it
        self._beat_due = -math.inf
        self._next = 0  # the one of ours that is asked for next, from the beginning also where a search is told again
        asked = {"measured": self.measured, "seed": seed, "sampler": sampler, "optimizers": self.optimizers}
        try:
            with understood(self._store.label):
                self._study = self._store.now(self._created)
                self._id = self._study._study_id
                self._store.now(lambda: self._check({**asked, **(about or {})}))
                if server is not None:
                    self._sampler.trials = self.agreed("grid", trials)
                self._store.now(lambda: self._store.take_up(self._id))
                self._store.now(self._read_rows)
        except BaseException:
            self._store.let_go()
            raise

    @property
    def learns(self) -> bool:
        """Whether what is asked for hangs on what was told."""
        return self._sampler.learns

    def ask(
        self,
        optimizer: str,
        space: Space,
        phase: str,
        *,
        structure: Mapping[str, Any] | None = None,
        first: Mapping[str, Any] | None = None,
        number: int | None = None,
    ) -> Asked:
        """One more trial of an optimizer, its other values drawn from the part of `space` that applies to it.

        The optimizer and the structure (values of names in `space`) are the caller's, so that the stacks of trials stay
        full. first: values to take instead of drawn ones; they may lie outside the space (the winner of another phase,
        say). number: which of our trials this is; the one after the last asked for when not given. One that the study holds
        comes back as it was recorded.
        """
        number = self._next if number is None else number
        self._next = number + 1
        if number > len(self._rows):
            raise self._store.damaged(f"trial {number} is asked for, and it holds {len(self._rows)}")
        if number == len(self._rows):
            known, tries = {**(structure or {}), "optimizer": optimizer}, count()
            self._store.now(lambda: self._create(number, known, first or {}, space, phase, again=next(tries) > 0))
            self.alive()
        return self._recorded(number, optimizer, phase)

    def report(self, number: int, step: int, metrics: Metrics) -> None:
        """An intermediate value of a running trial; passed over when the study holds that step."""
        row = self._numbered[number]
        if step in row.steps:
            return
        if row.end is not None:
            raise self._store.damaged(f"trial {number} ended without its value at step {step}")
        value = metrics[self.measured]
        self._store.later(lambda: self._write_step(row, step, value))
        row.steps[step] = value

    def tell(self, number: int, metrics: Metrics | None, *, epochs: int, reason: str | None = None) -> None:
        """End a trial: complete when there is no reason, pruned when it was stopped, failed without metrics.

        Passed over when the study says the same; raises FolderError or StorageError when it says something else.
        """
        row = self._numbered[number]
        state = TrialState.FAIL if metrics is None else TrialState.PRUNED if reason else TrialState.COMPLETE
        value = metrics[self.measured] if metrics and state == TrialState.COMPLETE else None
        if state == TrialState.PRUNED and row.steps:
            last = row.steps[max(row.steps)]  # as Optuna has it: the last one reported, unless it is no number
            value = None if math.isnan(last) else last
        end = (state, value, epochs, reason)
        if row.end is not None:
            if row.end != end:
                raise self._store.damaged(f"trial {number} ended as {_told(row.end)}, and now as {_told(end)}")
            return
        self._store.later(lambda: self._write_end(row, end))
        row.end = end

    def alive(self) -> None:
        """Called again and again while trials run: who shares the study hears, from time to time, that they do."""
        if not self._store.driver or time.monotonic() < self._beat_due:
            return
        self._beat_due = time.monotonic() + BEAT
        running = next((row for row in self._rows if row.end is None), None)
        if running is not None:
            self._store.later(lambda: self._store.beat(self._id, running.id))

    @property
    def _direction(self) -> StudyDirection:
        return StudyDirection.MAXIMIZE if self.measured == "accuracy" else StudyDirection.MINIMIZE

    @property
    def trials(self) -> list[FrozenTrial]:
        """Ours, by number."""
        return self._ours(self.everybodys)

    @property
    def everybodys(self) -> list[FrozenTrial]:
        """The trials of all drivers, by number."""
        return self._store.now(lambda: self._study.get_trials(deepcopy=False))

    def better_elsewhere(self) -> FrozenTrial | None:
        """The best finished trial of another driver, where it is better than each of ours."""
        driver, sign = self._store.driver, 1 if self.measured == "accuracy" else -1
        ended = [t for t in self.everybodys if t.state == TrialState.COMPLETE and t.value is not None]
        best = max(ended, key=lambda t: (sign * (t.value or 0), t.user_attrs.get("driver") == driver), default=None)
        return None if best is None or best.user_attrs.get("driver") == driver else best

    def agreed(self, name: str, value: Any) -> Any:
        """What the driver that came first noted in the study under this name (plain values): this value, where nobody did."""

        def noted() -> Any:
            with self._store.turn(self._id):
                found = self._study.user_attrs
                if name not in found:
                    self._study.set_user_attr(name, value)
            return found.get(name, value)

        return self._store.now(noted)

    def keep(self, folder: Path | None) -> None:
        """See that a server holds all that was told, and copy the study, with the trials of all drivers, to folder/study.db:
        a run folder is the whole truth.
        """
        driver = self._store.driver
        self._store.now(
            lambda: write_copy(self._study, folder / "study.db", driver=driver) if folder and driver else None
        )

    def close(self) -> None:
        """Let go of the file or the server."""
        self._store.close()

    def _created(self) -> optuna.Study:
        return optuna.create_study(
            study_name=self._store.study,
            storage=self._storage,
            sampler=self._sampler,
            direction=self._direction,
            load_if_exists=True,
        )

    def _create(
        self, number: int, known: Mapping[str, Any], first: Mapping[str, Any], space: Space, phase: str, *, again: bool
    ) -> None:
        """Write our trial of that number, counted from our first. again: an earlier try may have written it."""
        driver, attrs = self._store.driver, dict[str, Any](phase=phase)
        with self._store.turn(self._id):
            if driver:
                attrs |= {"driver": driver, "asked": number}
                if again:
                    self._read_rows()
                if number < len(self._rows):
                    return
                if first and self._given(first, str(known["optimizer"]), phase):
                    first = {}
            attrs |= {"given": True} if first else {}
            trial = self._drawn(self._store.count(self._id, number), {**first, **known}, space, attrs)
            try:
                trial._trial_id, trial.number = self._store.create(self._id, trial)
            except ValueError as error:  # Optuna's, for values of another kind under the same name
                raise SettingError(
                    f"{self._store.label} searches other values than are asked for ({error}): ask for the same "
                    f"--space, or choose another {self._store.another}."
                ) from error
        self._add(trial)  # now it is written for certain

    def _given(self, first: Mapping[str, Any], optimizer: str, phase: str) -> bool:
        """Whether another driver tries these settings already."""
        wanted = {"optimizer": optimizer, **first}
        return any(
            t.user_attrs.get("phase") == phase
            and "given" in t.user_attrs
            and all(t.params.get(name) == value for name, value in wanted.items())
            for t in self._study.get_trials(deepcopy=False)
        )

    def _read_rows(self) -> None:
        """Learn of trials of ours that the study holds and we do not know of: those of a process before this one."""
        for trial in self._ours(self._study.get_trials(deepcopy=False)):
            if trial.number not in self._numbered:
                self._add(trial)

    def _ours(self, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        driver = self._store.driver
        return [t for t in trials if not driver or t.user_attrs.get("driver") == driver]

    def _add(self, trial: FrozenTrial) -> None:
        end = (trial.state, trial.value, trial.user_attrs.get("epochs"), trial.user_attrs.get("reason"))
        ended = end if trial.state.is_finished() else None
        row = _Row(trial._trial_id, trial, dict(trial.intermediate_values), ended)
        self._rows.append(row)
        self._numbered[trial.number] = row

    def _write_step(self, row: _Row, step: int, value: float) -> None:
        try:
            self._storage.set_trial_intermediate_value(row.id, step, value)
        except UpdateFinishedTrialError:  # others took this driver for gone
            if not self._store.take_up(self._id):
                raise
            self._storage.set_trial_intermediate_value(row.id, step, value)

    def _write_end(self, row: _Row, end: _End) -> None:
        state, value, epochs, reason = end
        try:
            self._storage.set_trial_user_attr(row.id, "epochs", epochs)
            if reason:
                self._storage.set_trial_user_attr(row.id, "reason", reason)
            self._storage.set_trial_state_values(row.id, state, None if value is None else [value])
        except UpdateFinishedTrialError:  # by an earlier try of ours, or by somebody else
            if self._store.take_up(self._id):
                self._write_end(row, end)
                return
            found = self._storage.get_trial(row.id)
            if (found.state, found.value) != (state, value):
                raise self._store.damaged(
                    f"trial {found.number} was ended by somebody else as {found.state.name.lower()} with {found.value}"
                ) from None

    def _drawn(self, number: int, given: Mapping[str, Any], space: Space, attrs: Mapping[str, Any]) -> FrozenTrial:
        """A trial with all its values, the given ones and those of the sampler; nothing is written."""
        optimizer = {"optimizer": CategoricalDistribution(self.optimizers)}
        whole = {**optimizer, **{name: to_optuna(d) for name, d in space.items()}}
        known = {name: value for name, value in given.items() if name in whole}
        if "schedule" in whole and "schedule" not in known:  # whether there are cycles depends on it
            blank = _running({}, {}, {}, number)
            known["schedule"] = self._sampler.sample_independent(self._study, blank, "schedule", whole["schedule"])
        applied = {**optimizer, **{name: whole[name] for name in applying(space, known)}}
        known = {name: value for name, value in known.items() if name in applied}
        holding = {name: _holding(applied[name], value) for name, value in known.items()}
        before = _running(known, holding, attrs, number)
        drawn = self._sampler.sample_relative(
            self._study, before, {name: d for name, d in applied.items() if name not in known}
        )
        distributions = {name: self._as_noted(name, holding.get(name, d)) for name, d in applied.items()}
        params = {name: _exact(d, {**known, **drawn}[name]) for name, d in distributions.items()}
        return _running(params, distributions, attrs, number)

    def _as_noted(self, name: str, d: BaseDistribution) -> BaseDistribution:
        """As a trial notes it. Optuna has one list of options for a name: a later phase that draws from a part of it notes all."""
        if not isinstance(d, CategoricalDistribution):
            return d
        if name not in self._noted:  # once it is there it never changes, and looking for it reads all trials
            noted = (t.distributions.get(name) for t in self._study.get_trials(deepcopy=False))
            found = next((whole for whole in noted if isinstance(whole, CategoricalDistribution)), None)
            if found is None:
                return d
            self._noted[name] = found
        whole = self._noted[name]
        return whole if set(d.choices) <= set(whole.choices) else d

    def _recorded(self, number: int, optimizer: str, phase: str) -> Asked:
        trial = self._rows[number].trial
        found = (trial.user_attrs.get("phase"), trial.params.get("optimizer"))
        if found != (phase, optimizer):
            raise self._store.damaged(f"trial {trial.number} is one of {found}, not of {(phase, optimizer)}")
        return Asked(trial.number, trial.params)

    def _check(self, asked: Mapping[str, Any]) -> None:
        """Note what was asked for, or hold it against what was noted."""
        with self._store.turn(self._id):
            noted, other = self._study.user_attrs, self._study.direction != self._direction
            if not noted and (other or self._study.get_trials(deepcopy=False)):
                raise self._store.unlike("a study of another program")
            if found := difference(noted, asked):
                raise self._store.unlike(found)
            for name in asked.keys() - noted.keys():
                self._study.set_user_attr(name, asked[name])


def _told(end: _End) -> str:
    state, value, epochs, reason = end
    return f"{state.name.lower()} with {value} after {epochs} epochs ({reason})"


def _running(
    params: Mapping[str, Any], distributions: Mapping[str, BaseDistribution], attrs: Mapping[str, Any], number: int
) -> FrozenTrial:
    """A trial of that number as it stands before it is written."""
    trial = create_trial(
        state=TrialState.RUNNING, params=dict(params), distributions=dict(distributions), user_attrs=dict(attrs)
    )
    trial.number = number
    return trial


def _holding(d: BaseDistribution, value: Any) -> BaseDistribution:
    """The distribution, widened to hold a value from outside."""
    if isinstance(d, FloatDistribution):
        return FloatDistribution(min(d.low, value), max(d.high, value), log=d.log)
    if isinstance(d, IntDistribution):
        return IntDistribution(min(d.low, value), max(d.high, value), log=d.log)
    return d


def _exact(d: BaseDistribution, value: Any) -> Any:
    """A value as it will be read back from the file."""
    return d.to_external_repr(d.to_internal_repr(value))

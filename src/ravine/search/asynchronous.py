"""Asynchronous successive halving: every run climbs by itself, and nobody waits for the slowest at a rung.

When a run reaches a rung, its trials are judged at once against all that have reached that rung so far, each by its best
up to there, as in `survivors`: those among the best `keep` go on, the others end. A trial that went on is not judged at
that rung again, so the first to come are treated kindly. Source: Li et al. 2020 (ASHA), in its stopping form.

Who stays hangs on who came first, which no seed repeats. So every decision is a record, made once: a run that is trained
again, after its worker was lost or in a replay on one machine, does what the record says, and comes to the same numbers.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ravine.errors import SettingError, WorkerError
from ravine.search.failures import mended
from ravine.search.halving import Outcome
from ravine.search.messages import packed, unpacked
from ravine.search.remote_run import Answer, Key, RemoteRun, tell
from ravine.search.serving import Order, Served, Workshop
from ravine.training import History, Kept, State, rank
from ravine.types import Metrics

__all__ = ["AsynchronousClimb", "Crew", "Decision", "Here", "InPlace", "WorkerLostError"]

TURN = 1.0  # seconds after which a run says how far it is
TOLD_EVERY = 0.2  # seconds at least between two words on how far all are

SAVED_EVERY, OLDEST = 10.0, 30.0
"""Seconds from one state of a run that comes back to the next; where states take much of the time, up to the second."""

SHARE, OF_ALL = 0.02, 0.2
"""Of a run's time that its states may take, and of this process's time that those of all runs may (benchmarks/asynchrony.py)."""

DEATHS = 3  # workers that a run may lose from one state to the next: then it is what kills them


class WorkerLostError(Exception):
    """The worker of a run is no more; the run goes on elsewhere from its last state. Says who it was, and its last words."""


class Crew(Protocol):
    """Who trains runs, and the limits of it."""

    def take(self, run: RemoteRun) -> bool:
        """Give a run that has no worker one of those that are free, if there is one."""
        ...

    def ready(self, runs: Sequence[RemoteRun]) -> Sequence[RemoteRun]:
        """Those of the runs under way that have an answer; waits until there is one, or something else has changed."""
        ...

    def drop(self, run: RemoteRun) -> None:
        """The run is over, or goes on elsewhere: its worker is free for others."""
        ...


@dataclass(frozen=True)
class Decision:
    """What was decided of some trials of one run at one step. Metrics are by trial."""

    step: int
    seen: Mapping[int, Metrics]  # of all that were judged, at this step
    best: Mapping[int, Metrics]  # the best of each up to it
    stay: Sequence[int]  # those that go on
    last: bool  # they went no further: the last rung, or the deadline

    def record(self) -> dict[str, Any]:
        """As JSON."""
        pairs = {name: [[trial, m] for trial, m in getattr(self, name).items()] for name in ("seen", "best")}
        return {"step": self.step, **pairs, "stay": list(self.stay), "last": self.last}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Decision:
        """From JSON, which has null where a number was not finite."""
        return cls(**{**record, "seen": _by_trial(record["seen"]), "best": _by_trial(record["best"])})


def _by_trial(pairs: Sequence[Any]) -> dict[int, Metrics]:
    return {
        int(trial): {name: math.nan if value is None else value for name, value in metrics.items()}
        for trial, metrics in pairs
    }


@dataclass(eq=False)
class _Ascent:
    """One run on its way up.

    passed: the last step at which its trials were judged. saved: its state when it was last fetched, and `passed` then.
    """

    run: RemoteRun
    order: Order
    passed: int = -1
    saved: tuple[int, State] | None = None
    doing: str = ""  # the method that is under way
    asked: tuple[Any, ...] = ()
    fetched: float = field(default_factory=time.monotonic)
    cost: float = 0.0  # seconds that fetching took
    deaths: int = 0

    @property
    def alive(self) -> bool:
        return bool(self.run.trials)

    def due(self, every: float) -> bool:
        """Is it time to fetch its state, where all have theirs fetched after so many seconds?"""
        old = time.monotonic() - self.fetched >= max(every, min(OLDEST, self.cost / SHARE))
        return old and self.run.step > (-1 if self.saved is None else _step_of(self.saved[1]))


class AsynchronousClimb:
    """A climb of the runs that are ordered, by `crew`, over the rungs (step numbers, rising); as `Climb`, but nobody waits.

    decided: decisions made before, which are followed; those made now join them. What a run shows becomes rows of the
    history together with the state that comes after it, so that no row is written twice when a worker is lost.
    """

    def __init__(
        self,
        orders: Sequence[Order],
        rungs: Sequence[int],
        crew: Crew,
        history: History,
        *,
        keep: float = 0.5,
        least: int = 1,
        deadline: float = math.inf,
        decided: Sequence[Decision] = (),
        say: Callable[[str], None] = lambda _note: None,
    ) -> None:
        self.crew, self.history, self.rungs, self.deadline = crew, history, rungs, deadline
        self.share, self.least, self.say = keep, least, say
        self.orders = list(orders)
        self.ended: dict[int, Outcome] = {}
        self.decided: list[Decision] = []
        self._fate: dict[int, dict[int, Decision]] = {}  # by trial and step
        self._reached: dict[int, list[tuple[float, float]]] = {}  # by step: the ranks of all judged there, rising
        for one in decided:
            self._check_known(one)
            self._note(one)
        self._ascents = [self._begun(i, order) for i, order in enumerate(self.orders)]
        self._cost = 0.0  # seconds that a state of each run takes, together

    @property
    def best(self) -> dict[int, Kept]:
        """The best weights of each trial so far."""
        return {trial: kept for one in self._ascents for trial, kept in one.run.best.items()}

    @property
    def over(self) -> bool:
        return not any(one.alive for one in self._ascents)

    def go(
        self,
        *,
        on_rung: Callable[[int, Mapping[int, Metrics]], None] = lambda _step, _metrics: None,
        on_slice: Callable[[int, int], None] = lambda _step, _trials: None,
        on_decided: Callable[[Decision], None] = lambda _decision: None,
    ) -> dict[int, Outcome]:
        """Climb what is left. on_decided: given each decision that is made, before it is followed and on_rung is told.

        on_slice: told (mean step of all trials, trials alive) as time goes by, when a snapshot may be taken.
        """
        self._on_rung, self._on_decided, told = on_rung, on_decided, -math.inf
        while climbing := [one for one in self._ascents if one.alive]:
            for one in climbing:
                if not one.doing:
                    self._next(one)
            under_way = {id(one.run): one for one in climbing if one.doing}
            for run in self.crew.ready([one.run for one in under_way.values()]):
                self._hear(under_way[id(run)])
            if time.monotonic() - told >= TOLD_EVERY:
                on_slice(self._mean_step(), sum(len(one.run.trials) for one in self._ascents))
                told = time.monotonic()
        return self.ended

    def _next(self, one: _Ascent) -> None:
        """Set a run to what comes next."""
        run = one.run
        if run.worker is None:
            if self.crew.take(run):
                self._begin(one, "build", one.order.only(run.trials), one.saved and _sent(one.saved[1], run))
        elif one.due(max(SAVED_EVERY, min(OLDEST, self._cost / OF_ALL))):
            self._begin(one, "snapshot")
        elif run.step < self._stop(one) and not self._late:
            seconds = min(TURN, self.deadline - time.monotonic())
            self._begin(one, "advance", self._stop(one) - run.step, seconds=seconds)
        else:
            self._begin(one, "evaluate")

    def _begin(self, one: _Ascent, method: str, *args: Any, **named: Any) -> None:
        one.doing, one.asked = method, args
        try:
            one.run.begin(method, *args, **named)
        except WorkerLostError as lost:
            self._recover(one, lost)

    def _hear(self, one: _Ascent) -> None:
        """Take what a run has come to."""
        doing, one.doing = one.doing, ""
        run = one.run
        try:
            if doing == "build":
                self._built(one, run.build(*one.asked))
            elif doing == "advance":
                run.advance(*one.asked)
            elif doing == "keep":
                run.keep(*one.asked)
            elif doing == "snapshot":
                self._fetch(one)
            else:
                self._judge(one, run.evaluate())
        except WorkerLostError as lost:
            self._recover(one, lost)
        except Exception as error:
            if error is not run.fault:
                raise
            fault, run.fault = error.with_traceback(None), None
            self._mend(one, fault)

    @property
    def _late(self) -> bool:
        return time.monotonic() >= self.deadline

    def _stop(self, one: _Ascent) -> int:
        """The step at which a trial of a run is judged next."""
        return min(self._stop_of(trial, one.passed) for trial in one.run.trials)

    def _stop_of(self, trial: int, passed: int) -> int:
        known = [step for step in self._fate.get(trial, ()) if step > passed]
        return min(known) if known else next(rung for rung in self.rungs if rung > passed)

    def _built(self, one: _Ascent, lost: Mapping[int, str]) -> None:
        for trial, reason in lost.items():
            self.say(f"trial {trial} could not begin: {reason}.")
            self.ended[trial] = Outcome(trial, {}, 0, 0, reason, failed=True)
        one.run.trials = [trial for trial in one.run.trials if trial not in lost]
        if not one.alive:
            self._finish(one)

    def _fetch(self, one: _Ascent) -> None:
        """The state of a run comes here, and what it has shown until then into the history."""
        began = time.monotonic()
        one.saved = (one.passed, _state_of(one.run))
        tell(self.history, one.run.rows)
        one.run.rows.clear()
        one.fetched, one.deaths = time.monotonic(), 0
        self._price(one, one.fetched - began)

    def _price(self, one: _Ascent, seconds: float) -> None:
        """What fetching a state of this run takes, and so those of all runs together."""
        self._cost += seconds - one.cost
        one.cost = seconds

    def _judge(self, one: _Ascent, metrics: Sequence[Metrics]) -> None:
        """Part the trials of a run where it stands: as it was decided, or as it is decided now."""
        run = one.run
        step, late = run.step, self._late and run.step < self._stop(one)
        seen = dict(zip(run.trials, metrics, strict=True))
        new = [trial for trial in seen if step not in self._fate.get(trial, ())]
        if not late:
            new = [trial for trial in new if self._stop_of(trial, one.passed) == step]
        if new:
            self._decide(run, {trial: seen[trial] for trial in new}, last=late or step == self.rungs[-1])
        parted = {trial: fate[step] for trial in seen if step in (fate := self._fate.get(trial, {}))}
        for trial, decision in parted.items():
            if decision.last or trial not in decision.stay:
                self.ended[trial] = self._outcome(run, trial, decision)
        one.passed = step
        self._on_rung(step, {trial: decision.seen[trial] for trial, decision in parted.items()})
        left = [k for k, trial in enumerate(run.trials) if trial not in parted or self._goes_on(trial, step)]
        if not left:
            run.trials.clear()
            self._finish(one)
        elif len(left) < len(run.trials):
            self._begin(one, "keep", left)

    def _goes_on(self, trial: int, step: int) -> bool:
        decision = self._fate[trial][step]
        return not decision.last and trial in decision.stay

    def _check_known(self, decision: Decision) -> None:
        """Raise SettingError for a decision that no run of these could come to."""
        trials = {trial for order in self.orders for trial in order.settings}
        if decision.step > self.rungs[-1] or not decision.seen.keys() <= trials:
            raise SettingError(
                f"the decisions to follow are of another search: trials {sorted(decision.seen)} were judged at step "
                f"{decision.step}, and here are {len(trials)} trials of {self.rungs[-1]} steps. Ask for the same trials and epochs."
            )

    def _decide(self, run: RemoteRun, seen: dict[int, Metrics], *, last: bool) -> None:
        best = {trial: run.best[trial].validation for trial in seen}
        finite = [trial for trial, metrics in seen.items() if rank(metrics)[0] > -math.inf]
        stay = finite
        if not last:
            ranks = sorted([*self._reached.get(run.step, ()), *(_worth(seen[t], best[t]) for t in seen)])
            wanted = max(self.least, math.ceil(self.share * len(ranks)))
            stay = [trial for trial in finite if rank(best[trial]) >= ranks[-min(wanted, len(ranks))]]
        self._note(Decision(run.step, seen, best, stay if not last else list(seen), last))
        self._on_decided(self.decided[-1])

    def _note(self, decision: Decision) -> None:
        self.decided.append(decision)
        ranks = self._reached.setdefault(decision.step, [])
        for trial, metrics in decision.seen.items():
            self._fate.setdefault(trial, {})[decision.step] = decision
            if not decision.last:
                bisect.insort(ranks, _worth(metrics, decision.best[trial]))

    def _outcome(self, run: RemoteRun, trial: int, decision: Decision) -> Outcome:
        reason = None if decision.last else f"behind at step {run.step}"
        if rank(decision.seen[trial])[0] == -math.inf:
            reason = f"loss not finite by step {run.step}"
        return Outcome(trial, decision.seen[trial], run.step, -(-run.step // run.steps_per_epoch), reason)

    def _finish(self, one: _Ascent) -> None:
        """None of the trials of a run goes on."""
        tell(self.history, one.run.rows)
        one.run.rows.clear()
        one.saved = None  # its best weights are here
        self._price(one, 0.0)
        self.crew.drop(one.run)

    def _mend(self, one: _Ascent, fault: Exception) -> None:
        """End the trials at fault; what goes on in place of the run has a state of its own before it does."""
        run, passed = one.run, one.passed
        try:
            found = mended(run, fault)
            instead = [_Ascent(part, one.order, passed) for part in found.runs]  # type: ignore[arg-type]
            for other in instead:
                if len(instead) > 1:
                    other.run.rows = []
                if other.alive:
                    other.saved = (passed, _state_of(other.run))
        except WorkerLostError as lost:
            self._recover(one, lost)
            return
        tell(self.history, run.rows)
        for trial, reason in found.lost.items():
            self.ended[trial] = Outcome(trial, {}, run.step, -(-run.step // run.steps_per_epoch), reason, failed=True)
        for other in instead:
            other.run.rows = []
            if not other.alive:
                self._finish(other)
        self._price(one, 0.0)
        at = self._ascents.index(one)
        self._ascents[at : at + 1] = instead
        self.say(found.note)

    def _recover(self, one: _Ascent, lost: WorkerLostError) -> None:
        """Take a run back to its last state, to go on elsewhere."""
        one.deaths += 1
        if one.deaths == DEATHS:
            raise WorkerError(
                f"{lost} It is the {DEATHS}rd worker in a row that ended while it trained {_shown(one.run)}."
            ) from lost
        self.say(f"{lost} {_shown(one.run)} go{'es' * (len(one.run.trials) == 1)} on elsewhere.")
        self.crew.drop(one.run)
        self._back(one)

    def _back(self, one: _Ascent) -> None:
        """A run without a worker, where its last state was fetched."""
        run = one.run
        run.worker, run.fault, one.doing = None, None, ""
        run.forget()
        one.passed, state = one.saved or (-1, None)
        run.trials = list(one.order.settings) if state is None else list(state["trials"])
        run.step = 0 if state is None else _step_of(state)
        one.fetched = time.monotonic()

    def _begun(self, number: int, order: Order) -> _Ascent:
        run = RemoteRun(
            None,
            (number,),
            [],
            list(order.settings),
            0,
            order.steps_per_epoch,
            dict(order.settings),
            order.model_settings,
            {},
        )
        return _Ascent(run, order)

    def _mean_step(self) -> int:
        """How far the trials are: those that have ended have come as far as they ever will."""
        alive = {trial: one.run.step for one in self._ascents for trial in one.run.trials}
        every = [*alive.values(), *(self.rungs[-1] for trial in self.ended if trial not in alive)]
        return round(sum(every) / max(1, len(every)))

    def snapshot(self) -> dict[str, Any]:
        """All that `restore` needs to go on with, beside the history and the decisions."""
        return {
            "ascents": [
                {
                    "order": next(i for i, order in enumerate(self.orders) if order is one.order),
                    "trials": list(one.run.trials),
                    "saved": None if one.saved is None else list(one.saved),
                    "best": [kept.snapshot() for kept in one.run.best.values()],
                }
                for one in self._ascents
            ],
            "ended": [dataclasses.asdict(outcome) for outcome in self.ended.values()],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from the snapshot of a climb of the same orders over the same rungs."""
        self._ascents = []
        for i, its in enumerate(saved["ascents"]):
            one = self._begun(i, self.orders[its["order"]])
            one.run.best = {b["trial"]: Kept(**b, setting=one.run.settings[b["trial"]]) for b in its["best"]}
            one.saved = None if its["saved"] is None else (its["saved"][0], its["saved"][1])
            self._back(one)
            if not its["trials"]:
                one.run.trials.clear()
            self._ascents.append(one)
        self.ended = {one["trial"]: Outcome(**one) for one in saved["ended"]}


class Here:
    """A crew of one: this process. It trains the runs in turn, and comes to what others come to."""

    def __init__(self, workshop: Workshop) -> None:
        self._worker = InPlace(Served(workshop=workshop))

    def take(self, run: RemoteRun) -> bool:
        run.worker = self._worker
        return True

    def ready(self, runs: Sequence[RemoteRun]) -> Sequence[RemoteRun]:
        return runs

    def drop(self, run: RemoteRun) -> None:
        if run.worker is not None:
            run.worker.ask(run.key, "drop")
            run.worker.answer(run.key)


class InPlace:
    """A worker that does what it is asked when its answer is wanted. Messages are packed as if they travelled: a state is
    that of a moment, and the run trains on.
    """

    def __init__(self, served: Served) -> None:
        self._served = served
        self._asked: dict[Key, bytes] = {}

    def ask(self, key: Key, method: str, *args: Any, **named: Any) -> None:
        self._asked[key] = packed((method, args, named))

    def answer(self, key: Key) -> Answer:
        answer: Answer = unpacked(packed(self._served.answer(key, *unpacked(self._asked.pop(key)))))
        return answer


def _worth(seen: Metrics, best: Metrics) -> tuple[float, float]:
    """What a trial is ranked by: its best so far, unless it is not finite now."""
    return rank(best) if rank(seen)[0] > -math.inf else (-math.inf, -math.inf)


def _step_of(state: State) -> int:
    return int(state["population"]["steps"])


def _state_of(run: RemoteRun) -> State:
    """The state of a run less the best weights of its trials, which are here and only become better."""
    return {name: value for name, value in run.snapshot().items() if name != "best"}


def _sent(state: State, run: RemoteRun) -> State:
    """The state as `Run.restore` takes it, with what the best weights have reached, and without the weights."""
    alive = set(state["trials"])
    return {**state, "best": [{**k.snapshot(), "state": {}} for t, k in run.best.items() if t in alive]}


def _shown(run: RemoteRun) -> str:
    trials = run.trials
    return (
        f"trial {trials[0]}" if len(trials) == 1 else f"trials {min(trials)} to {max(trials)} ({len(trials)} of them)"
    )

"""Asking for a batch of trials and putting them into runs: what the coarse search and the refinement share.

Letters: K trials.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ravine.engines.memory import out_of_memory
from ravine.recipe.apart import climb_apart, parts_for
from ravine.recipe.runs import Built, make_runs, model_settings, of_model
from ravine.recipe.session import Session, seconds_left
from ravine.search import Asked, Climb, Outcome, Plan, Space, Study, waves
from ravine.search.failures import reason_of
from ravine.training import History, Kept, State, rank
from ravine.types import Metrics

__all__ = ["UNLIMITED", "Search", "best_trials", "carry_out", "lasting", "planned", "search_evidence", "space_record"]


UNLIMITED = (1e9, 1e-3)
"""Seconds, and seconds a trial and step, where nobody waits."""


@dataclass
class Search:
    """One phase of the search, finished: its trials, how they ended, and what was searched."""

    phase: str
    spaces: Mapping[str, Space]  # for each optimizer
    asked: list[Asked]
    outcomes: dict[int, Outcome]
    kept: dict[int, Kept]

    @property
    def ranked(self) -> list[Asked]:
        """Trials from best to worst; those that are not finite are left out."""
        finite = [a for a in self.asked if a.number in self.kept and self.outcomes[a.number].usable]
        return sorted(finite, key=lambda a: rank(self.kept[a.number].validation), reverse=True)


def carry_out(
    session: Session,
    study: Study,
    phase: str,
    spaces: Mapping[str, Space],
    asked: list[Asked],
    history: History,
    rungs: Sequence[int],
    *,
    fixed: Mapping[str, Any],
    every: int,
    least: int = 1,
    deadline: float = math.inf,
) -> Search:
    """Let the trials climb, tell the study and the watcher how they do, and gather the phase.

    Trials that do not fit into memory together climb in waves, each to the top: losers are named within a wave, and the
    finalists of all waves are compared in the end. fixed, every: as in `make_runs`; rungs, least: as in `climb`.
    A phase that was cut short goes on from its last state; one that is over is told again and trains nothing.
    """
    found = Search(phase, spaces, asked, {}, {})
    parts, begun = session.saver.decided(f"{phase} parts", lambda: parts_for(session, len(asked))), 0
    if parts:
        more: dict[str, Any] = {"fixed": fixed, "every": every, "least": least, "deadline": deadline}
        found.outcomes, found.kept = climb_apart(session, study, phase, asked, history, rungs, parts=parts, **more)
        begun = len(asked)
    while begun < len(asked):
        ahead = _waves(session, phase, asked)
        wave, left = next((asked[a:b], len(ahead) - i) for i, (a, b) in enumerate(ahead) if a == begun)
        try:
            built = make_runs(session, wave, history, steps=rungs[-1], fixed=fixed, every=every)
        except Exception as error:
            if not out_of_memory(error):
                raise
            if len(wave) > 1:
                _halve(session, phase, ahead, begun)
                continue
            built = Built(lost={wave[0].number: reason_of(error)})
        until = deadline if left == 1 else time.monotonic() + seconds_left(deadline) / left
        _climb(session, study, found, built, history, rungs, least=least, deadline=until, first=begun == 0)
        begun += len(wave)
    for trial, outcome in found.outcomes.items():
        metrics = found.kept[trial].validation if outcome.usable and trial in found.kept else None
        study.tell(trial, metrics, epochs=outcome.epoch, reason=outcome.reason)
    return found


def _waves(session: Session, phase: str, asked: Sequence[Asked]) -> list[tuple[int, int]]:
    """(from, to) positions of the trials in each wave, as decided when the phase began."""

    def decide() -> list[tuple[int, int]]:
        known: dict[str, int] = {}
        for one in asked:
            settings = model_settings(session, one)
            if repr(settings) not in known:
                known[repr(settings)] = _bytes_of(session, settings)
        sizes = [known[repr(model_settings(session, one))] for one in asked]
        found = [(wave.start, wave.stop) for wave in waves(sizes, session.memory)]
        if len(found) > 1:
            session.watch.note(
                f"{len(asked)} trials do not fit into memory together: they are trained in {len(found)} waves."
            )
        return found

    return [(start, stop) for start, stop in session.saver.decided(f"{phase} waves", decide)]


def _bytes_of(session: Session, settings: Mapping[str, Any] | None) -> int:
    """What a trial takes; for a model that cannot be built, that of the session's: `make_runs` will say what is wrong."""
    try:
        return session.trial_bytes if settings is None else session.bytes_of(session.model_with(settings))
    except Exception:
        return session.trial_bytes


def _halve(session: Session, phase: str, ahead: Sequence[tuple[int, int]], begun: int) -> None:
    """Write down that the wave that begins there is two."""
    stop = next(b for a, b in ahead if a == begun)
    middle = (begun + stop) // 2
    session.watch.note(f"out of memory while {stop - begun} trials were built: they are trained in two waves.")
    others = [(a, b) for a, b in ahead if a != begun]
    session.saver.decide(f"{phase} waves", sorted([*others, (begun, middle), (middle, stop)]))


def _climb(
    session: Session,
    study: Study,
    found: Search,
    built: Built,
    history: History,
    rungs: Sequence[int],
    *,
    least: int,
    deadline: float,
    first: bool,
) -> None:
    """One wave to the top; its outcomes and best weights join those found."""

    def told(step: int, seen: Mapping[int, Metrics]) -> None:
        for trial, metrics in seen.items():
            study.report(trial, step, metrics)

    def watched(step: int, trials: int) -> None:
        if session.workers > 1:  # else it is asked before every step
            saver.safe()
        study.alive()
        session.watch.advance(step / rungs[-1], f"{trials} trials at step {step:,}")

    def snapshot() -> State:
        return {"climb": climb.snapshot(), "history": history.snapshot()}

    for trial, reason in built.lost.items():
        session.watch.note(f"trial {trial} could not begin: {reason}.")
        found.outcomes[trial] = Outcome(trial, {}, 0, 0, reason, failed=True)
    if not built.runs:
        return
    saver, name = session.saver, found.phase if first else f"{found.phase}.wave-{built.runs[0].trials[0]}"
    climb = Climb(built.runs, rungs, least=least, deadline=deadline, say=session.watch.note)
    built.runs = []  # the climb alone has them, and may give them away
    with saver.going_on(name) as saved:
        if saved:
            climb.restore(saved["climb"])
            history.restore(saved["history"])
    elsewhere = session.workers > 1 and not climb.over
    with saver.during(name, snapshot), climb.hand_over(session.workers, history) if elsewhere else nullcontext():
        found.outcomes |= climb.go(on_rung=told, on_slice=watched, on_decided=saver.save)
    for run in climb.runs:  # the weights of a wave that is over must not fill a GPU
        found.kept |= {trial: dataclasses.replace(kept, state=_on_cpu(kept.state)) for trial, kept in run.best.items()}


def _on_cpu(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in state.items()}


def planned(session: Session, phase: str, make: Callable[[], Plan]) -> Plan:
    """The plan of a phase: what `make` says, which hangs on the time there is, or what it said when the phase began."""
    saved = session.saver.decided(f"{phase} plan", lambda: dataclasses.asdict(make()))
    return Plan(**{**saved, "rungs": tuple(saved["rungs"])})


def lasting(plan: Plan, epochs: int | None, steps_per_epoch: int) -> Plan:
    """The plan with its rungs stretched or shrunk to end after so many epochs.

    >>> lasting(Plan(8, (50, 100, 200)), epochs=10, steps_per_epoch=30).rungs
    (75, 150, 300)
    """
    if epochs is None:
        return plan
    whole = epochs * steps_per_epoch
    return Plan(plan.trials, tuple(max(1, whole * rung // plan.rungs[-1]) for rung in plan.rungs))


def best_trials(search: Search, share: float, least: int) -> list[Asked]:
    """The best `share` of the trials, at least `least`."""
    ranked = search.ranked
    return ranked[: max(least, math.ceil(share * len(ranked)))]


def space_record(spaces: Mapping[str, Space]) -> dict[str, dict[str, list[Any]]]:
    """Ranges and choices as JSON: {"lr": {"adamw": [low, high]}, ...}."""
    record: dict[str, dict[str, list[Any]]] = {}
    for optimizer, space in spaces.items():
        for name, d in space.items():
            record.setdefault(name, {})[optimizer] = list(getattr(d, "options", ())) or [d.low, d.high]  # type: ignore[union-attr]
    return record


def search_evidence(search: Search) -> dict[str, Any]:
    """The numbers that the coarse search and the refinement both report."""
    ended = search.outcomes.values()
    winner = search.ranked[0] if search.ranked else None
    return {
        "trials": len(search.asked),
        "stopped_early": sum(o.reason is not None and o.usable for o in ended),
        "diverged": sum(o.diverged for o in ended),
        "failed": sum(o.failed for o in ended),
        "epochs": max((o.epoch for o in ended), default=0),
        "space": space_record(search.spaces),
        "best": None
        if winner is None
        else {
            "trial": winner.number,
            "hyperparameters": {**search.kept[winner.number].setting.hyperparameters(), **of_model(winner)},
            "validation": search.kept[winner.number].validation,
        },
        "edges": [],
        "learnt": None,  # until the search is over: what `after_search` makes of the phase
    }

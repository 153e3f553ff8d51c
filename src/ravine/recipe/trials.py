"""Asking for a batch of trials and putting them into runs: what the coarse search and the refinement share.

Letters: K trials.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ravine.recipe.session import Session
from ravine.search import Asked, Outcome, Space, Study, climb
from ravine.training import History, Kept, Run, Setting, rank
from ravine.types import Metrics

__all__ = ["PROBE", "Search", "best_trials", "carry_out", "make_runs", "search_evidence", "space_record"]

PROBE = 5_000
"""Rows looked at per evaluation, of training and of validation each: accuracy to within 0.3 % where it is near 95 %."""


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
        finite = [a for a in self.asked if a.number in self.kept and not self.outcomes[a.number].diverged]
        return sorted(finite, key=lambda a: rank(self.kept[a.number].validation), reverse=True)


def make_runs(
    session: Session,
    asked: Sequence[Asked],
    history: History,
    *,
    steps: int,
    fixed: Mapping[str, Any],
    every: int,
) -> list[Run]:
    """A run for each optimizer among the trials. fixed: settings that are not searched."""
    runs = []
    for optimizer in sorted({str(a.params["optimizer"]) for a in asked}):
        group = [a for a in asked if a.params["optimizer"] == optimizer]
        settings = [
            Setting(
                **{**fixed, **a.params},
                batch_size=session.batch_size,
                seed=session.seed + a.number,
                order=session.seed,
            )
            for a in group
        ]
        runs.append(
            Run(
                session.data,
                session.model,
                settings,
                steps=steps,
                trials=[a.number for a in group],
                history=history,
                probe=PROBE,
                every=every,
                device=session.device,
            )
        )
    return runs


def carry_out(
    session: Session,
    study: Study,
    phase: str,
    spaces: Mapping[str, Space],
    asked: list[Asked],
    runs: Sequence[Run],
    rungs: Sequence[int],
    *,
    least: int = 1,
    deadline: float = math.inf,
) -> Search:
    """Let the trials climb, tell the study and the watcher how they do, and gather the phase. rungs, least: as in `climb`."""

    def told(step: int, seen: Mapping[int, Metrics]) -> None:
        for trial, metrics in seen.items():
            study.report(trial, step, metrics)

    def watched(step: int, trials: int) -> None:
        session.watch.advance(step / rungs[-1], f"{trials} trials at step {step:,}")

    outcomes = climb(runs, rungs, least=least, deadline=deadline, on_rung=told, on_slice=watched)
    kept = {trial: best for run in runs for trial, best in run.best.items()}
    for trial, outcome in outcomes.items():
        best = kept.get(trial)
        metrics = None if outcome.diverged or best is None else best.validation
        study.tell(trial, metrics, epochs=outcome.epoch, reason=outcome.reason)
    return Search(phase, spaces, asked, outcomes, kept)


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
        "stopped_early": sum(o.reason is not None and not o.diverged for o in ended),
        "diverged": sum(o.diverged for o in ended),
        "epochs": max((o.epoch for o in ended), default=0),
        "space": space_record(search.spaces),
        "best": None
        if winner is None
        else {
            "trial": winner.number,
            "hyperparameters": search.kept[winner.number].setting.hyperparameters(),
            "validation": search.kept[winner.number].validation,
        },
        "edges": [],
    }

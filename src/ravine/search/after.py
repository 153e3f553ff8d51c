"""What a finished search has taught, as one plain record for the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial

from ravine.search.comparable import Compared, comparable, same_ranges
from ravine.search.grid_or_random import grid_or_random
from ravine.search.importance import importance
from ravine.search.more_trials import more_trials
from ravine.search.places import from_optuna
from ravine.search.space import edge_of

__all__ = ["after_search"]


def after_search(
    trials: Sequence[FrozenTrial], phase: str, *, sampler: str, maximize: bool, seed: int = 0
) -> dict[str, Any]:
    """The record of one phase, all of it JSON: compared at the step that most trials reached.

    trials: of the study (`Study.trials`). sampler: by which they were drawn. maximize: accuracy, not rmse. Holds `phase`,
    `step`, `trials`; `edges` {name: "lower" or "upper"} of the best trial; and what `importance`, `more_trials` and
    `grid_or_random` return, each under its name.
    """
    step, compared = comparable(trials, phase, maximize=maximize)
    mattered = importance(compared, seed=seed)
    alike = same_ranges([t for t in compared if not t.given])
    return {
        "phase": phase,
        "step": step,
        "trials": len(compared),
        "edges": _edges(compared),
        "importance": mattered,
        "more_trials": more_trials(compared, sampler, maximize=maximize, seed=seed),
        "grid_or_random": grid_or_random(
            alike, list(mattered.get("importance", ())), sampler, maximize=maximize, seed=seed
        ),
    }


def _edges(compared: Sequence[Compared]) -> dict[str, str]:
    finite = [t for t in compared if t.value is not None]
    if not finite:
        return {}
    best = max(finite, key=lambda t: t.worth)
    ranges = {name: from_optuna(d) for name, d in best.distributions.items()}
    found = {name: edge_of(d, best.params[name]) for name, d in ranges.items() if d is not None}
    return {name: edge for name, edge in found.items() if edge is not None}

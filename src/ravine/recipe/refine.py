"""Step 5: the best region of the coarse search, longer, under the same schedule: warm-up and a cosine down to zero.

The coarse winner runs again beside new trials from the region around the best quarter. Trials share one
schedule, so halving compares them at the same phase of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from ravine.recipe.asking import ask_refined
from ravine.recipe.coarse import SCHEDULED, edges_of
from ravine.recipe.pace import measure_pace
from ravine.recipe.session import Session, seconds_left
from ravine.recipe.trials import UNLIMITED, Search, best_trials, carry_out, lasting, planned, search_evidence
from ravine.recipe.verdict import Verdict
from ravine.search import (
    Asked,
    Distribution,
    Log,
    Plan,
    Study,
    Uniform,
    around,
    capped,
    edge_of,
    refine_plan,
)
from ravine.training import History

__all__ = ["judge_refine", "refine", "refined_spaces"]

MARGIN = 2.0  # the best region is widened by this factor on a log scale
EXTENSION = 10.0  # and by this where the coarse winner lies at an end of its range


def refined_spaces(search: Search) -> dict[str, dict[str, Distribution]]:
    """For each optimizer among the best quarter: the region its trials lie in, extended where the winner is at an end."""
    best, winner = best_trials(search, 0.25, 3), search.ranked[0]
    spaces = {}
    for optimizer in dict.fromkeys(str(a.params["optimizer"]) for a in best):
        group = [a for a in best if a.params["optimizer"] == optimizer]
        spaces[optimizer] = {
            name: _region(
                d,
                [a.params[name] for a in group if name in a.params],
                winner if optimizer == winner.params["optimizer"] else None,
                name,
            )
            for name, d in search.spaces[optimizer].items()
            if any(name in a.params for a in group)
        }
    return spaces


def _region(d: Distribution, values: Sequence[float], winner: Asked | None, name: str) -> Distribution:
    return capped(name, _widened(d, values, winner, name))


def _widened(d: Distribution, values: Sequence[float], winner: Asked | None, name: str) -> Distribution:
    region = around(d, values, MARGIN)
    edge = edge_of(d, winner.params[name]) if winner is not None and name in winner.params else None
    if edge and isinstance(region, Log):
        return Log(region.low / EXTENSION, region.high) if edge == "lower" else Log(region.low, region.high * EXTENSION)
    if edge == "upper" and isinstance(region, Uniform):
        return Uniform(region.low, (region.high + 1) / 2)  # a share: half of the way that is left to 1
    return region


def refine(
    session: Session,
    study: Study,
    before: Search,
    history: History,
    deadline: float = math.inf,
    *,
    trials: int | None = None,
    epochs: int | None = None,
) -> Search:
    """Train the coarse winner's settings and new ones from its region to the end of a whole schedule.

    trials, epochs: how many, and how long the longest; planned when not given.
    """

    def make() -> Plan:
        if deadline < math.inf:
            winner = before.ranked[0]
            model = session.model_with(before.kept[winner.number].model_settings)
            session.pace = measure_pace(session, str(winner.params["optimizer"]), model)
        left = seconds_left(deadline)
        seconds, pace = (0.85 * left, session.pace) if left < math.inf else UNLIMITED
        return refine_plan(seconds, pace, session.steps_per_epoch, session.most)

    plan = lasting(planned(session, "refine", make), epochs, session.steps_per_epoch)
    spaces = refined_spaces(before)
    asked = ask_refined(study, spaces, before, trials or plan.trials)
    every = max(session.steps_per_epoch, plan.rungs[-1] // 40)
    return carry_out(
        session,
        study,
        "refine",
        spaces,
        asked,
        history,
        plan.rungs,
        fixed=SCHEDULED,
        every=every,
        least=5,
        deadline=deadline,
    )


def judge_refine(search: Search, before: Search) -> Verdict:
    """The verdict: what won, and whether all that was searched was wide enough."""
    evidence = search_evidence(search)
    if evidence["best"] is None:
        return Verdict(
            "refine",
            "fail",
            "No trial of the refinement kept a finite loss.",
            evidence,
            ("Lower the rate: the warm-up reached rates the model cannot take.",),
        )
    evidence["edges"] = edges_of(search, before.spaces)
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in evidence["best"]["validation"].items())
    summary = f"The best of {evidence['trials']} longer trials (up to {evidence['epochs']} epochs) reached validation {metrics}."
    advice = tuple(f"{edge} Search again with a wider range there." for edge in evidence["edges"])
    return Verdict("refine", "warn" if advice else "pass", summary, evidence, advice)

"""Step 4: a coarse search around the rates of step 3, one to five epochs a trial, the worse half dropped early."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ravine.recipe.lr_range import LrRange
from ravine.recipe.pace import measure_pace
from ravine.recipe.session import Session, seconds_left
from ravine.recipe.trials import Search, carry_out, make_runs, search_evidence
from ravine.recipe.verdict import Verdict
from ravine.rules import RULES
from ravine.search import Choice, Distribution, Log, Space, Study, Uniform, coarse_plan, edge_of, fit_trials
from ravine.training import History
from ravine.training.setting import has_momentum

__all__ = ["coarse", "coarse_spaces", "judge_coarse"]

COUPLED, DECOUPLED = Log(1e-6, 1e-2), Log(1e-4, 1.0)  # weight decay, by how the rule takes it
"""Coupled decay of the lecture's size; decoupled decay is multiplied by lr, so it stands higher."""


def coarse_spaces(
    ranges: Mapping[str, LrRange], *, dropout: bool, given: Space | None = None
) -> dict[str, dict[str, Distribution]]:
    """What to search with each optimizer: the range of step 3 widened by 3, weight decay, dropout if there is any.

    given: a person's own distributions; they take the place of ours, and an `optimizer` choice limits the list.
    """
    given = dict(given or {})
    wanted = given.pop("optimizer", None)
    names = [str(o) for o in wanted.options] if isinstance(wanted, Choice) else list(ranges)
    spaces: dict[str, dict[str, Distribution]] = {}
    for name in names:
        found = ranges[name]
        decay = DECOUPLED if RULES[name].decoupled else COUPLED
        space: dict[str, Distribution] = {"lr": Log(found.low / 3, found.high * 3), "weight_decay": decay}
        if dropout:
            space["dropout"] = Uniform(0.0, 0.5)
        spaces[name] = {**space, **{k: d for k, d in given.items() if k != "momentum" or has_momentum(name)}}
    return spaces


def coarse(
    session: Session,
    study: Study,
    spaces: Mapping[str, Space],
    history: History,
    deadline: float = math.inf,
    *,
    trials: int | None = None,
) -> Search:
    """Train random settings at a constant rate under successive halving. trials: how many; planned when not given."""
    names = list(spaces)
    if deadline < math.inf:
        session.pace = measure_pace(session, names[0])
    left = seconds_left(deadline)
    planned = coarse_plan(
        0.85 * left if left < math.inf else 1e9, session.pace, session.steps_per_epoch, fit_trials(session.trial_bytes)
    )
    asked = [
        study.ask(names[i % len(names)], spaces[names[i % len(names)]], "coarse")
        for i in range(trials or planned.trials)
    ]
    fixed = {"schedule": "constant", "warmup": 0.0}
    runs = make_runs(session, asked, history, steps=planned.rungs[-1], fixed=fixed, every=planned.rungs[-1])
    return carry_out(session, study, "coarse", spaces, asked, runs, planned.rungs, deadline=deadline)


def judge_coarse(search: Search) -> Verdict:
    """The verdict: what won, and whether it lies at the edge of what was searched."""
    evidence = search_evidence(search)
    if evidence["best"] is None:
        return Verdict(
            "coarse",
            "fail",
            f"None of {evidence['trials']} trials kept a finite loss.",
            evidence,
            ("Search lower rates: space={'lr': Log(1e-6, 1e-3)}, and look at the initial loss.",),
        )
    edges = edges_of(search)
    evidence["edges"] = edges
    metrics = ", ".join(f"{name} {value:.4g}" for name, value in evidence["best"]["validation"].items())
    summary = f"The best of {evidence['trials']} trials reached validation {metrics} after at most {evidence['epochs']} epochs."
    advice = tuple(f"{edge} The refinement searches beyond it." for edge in edges)
    return Verdict("coarse", "warn" if edges else "pass", summary, evidence, advice)


def edges_of(search: Search, whole: Mapping[str, Space] | None = None) -> list[str]:
    """A sentence for each hyper-parameter of the winner that lies at an end of its range (0 is no edge).

    whole: what was searched before; an end that lies inside of it is none.
    """
    winner = search.ranked[0]
    found = []
    for name, d in search.spaces[winner.params["optimizer"]].items():
        if whole is not None and edge_of(whole[winner.params["optimizer"]][name], winner.params[name]) is None:
            continue
        edge = edge_of(d, winner.params[name]) if not isinstance(d, Choice) else None
        if edge and not isinstance(d, Choice) and not (edge == "lower" and d.low == 0):
            end = d.low if edge == "lower" else d.high
            found.append(
                f"{name} {winner.params[name]:.2g} of {winner.params['optimizer']} lies at the {edge} end, {end:.2g}, of its range."
            )
    return found

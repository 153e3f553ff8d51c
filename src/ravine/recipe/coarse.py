"""Step 4: a coarse search around the rates of step 3, one to five epochs a trial, the worse half dropped early.

Trials are compared at the same phase of one schedule, which ends with the last rung. A constant rate says less of how
a trial will end (benchmarks/rungs.py), and leaves the refinement worse settings to start from: over eight seeds of
benchmarks/time_to_quality.py on digits the search came to 0.9896 in seven with the schedule, and in three without.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from ravine.recipe.asking import ask_coarse, batches
from ravine.recipe.lr_range import LrRange
from ravine.recipe.pace import measure_pace
from ravine.recipe.session import Session, seconds_left
from ravine.recipe.trials import UNLIMITED, Search, carry_out, lasting, planned, search_evidence
from ravine.recipe.verdict import Verdict
from ravine.rules import RULES
from ravine.search import (
    Choice,
    Distribution,
    Log,
    Plan,
    Space,
    Study,
    Uniform,
    coarse_plan,
    edge_of,
)
from ravine.training import History
from ravine.training.setting import OF_RULE, has_field, takes_decay

__all__ = ["SCHEDULED", "coarse", "coarse_spaces", "judge_coarse"]

SCHEDULED = {"schedule": "cosine", "warmup": 0.1}
"""How the rate moves over a phase of the search where a person does not search that."""

COUPLED, DECOUPLED = Log(1e-6, 1e-2), Log(1e-4, 1.0)  # weight decay, by how the rule takes it
"""Coupled decay of the lecture's size; decoupled decay is multiplied by lr, so it stands higher."""


def coarse_spaces(
    ranges: Mapping[str, LrRange], *, dropout: bool, given: Space | None = None
) -> dict[str, dict[str, Distribution]]:
    """What to search with each optimizer: the range of step 3 widened by 3, weight decay, dropout if there is any.

    ranges: none where a person gives the rates. given: a person's own distributions; they take the place of ours, and an
    `optimizer` choice limits the list.
    """
    given = dict(given or {})
    wanted = given.pop("optimizer", None)
    names = [str(o) for o in wanted.options] if isinstance(wanted, Choice) else list(ranges)
    spaces: dict[str, dict[str, Distribution]] = {}
    for name in names:
        decay = DECOUPLED if getattr(RULES.get(name), "decoupled", False) else COUPLED
        space: dict[str, Distribution] = {"weight_decay": decay} if takes_decay(name) else {}
        if name in ranges:
            space["lr"] = Log(ranges[name].low / 3, ranges[name].high * 3)
        if dropout:
            space["dropout"] = Uniform(0.0, 0.5)
        spaces[name] = {**space, **{k: d for k, d in given.items() if k not in OF_RULE or has_field(name, k)}}
    return spaces


def coarse(
    session: Session,
    study: Study,
    spaces: Mapping[str, Space],
    history: History,
    deadline: float = math.inf,
    *,
    trials: int | None = None,
    epochs: int | None = None,
    known: bool = True,
    measured: bool = True,
) -> Search:
    """Train settings known to be good and random ones under successive halving.

    trials, epochs: how many, and how long the longest; planned when not given. known: whether the good ones come first;
    without them all are random. measured: whether the rates' ranges come from step 3. A sampler that learns is asked
    for a batch at a time, and told of each before the next.
    """
    names = list(spaces)

    def make() -> Plan:
        if deadline < math.inf:
            session.pace = measure_pace(session, names[0])
        left = seconds_left(deadline)
        seconds, pace = (0.85 * left, session.pace) if left < math.inf else UNLIMITED
        return coarse_plan(seconds, pace, session.steps_per_epoch, session.most)

    plan = lasting(planned(session, "coarse", make), epochs, session.steps_per_epoch)
    count, every = trials or plan.trials, plan.rungs[-1]
    found = Search("coarse", spaces, [], {}, {})
    for batch in batches(count, len(names), learns=study.learns):
        asked = ask_coarse(study, spaces, batch, count, known=known, measured=measured, seed=session.seed)
        until = time.monotonic() + seconds_left(deadline) * len(batch) / (count - batch.start)
        part = carry_out(
            session,
            study,
            f"coarse.{batch.start}" if batch.start else "coarse",
            spaces,
            asked,
            history,
            plan.rungs,
            fixed=SCHEDULED,
            every=every,
            deadline=until,
        )
        found.asked += asked
        found.outcomes |= part.outcomes
        found.kept |= part.kept
    return found


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
    """A sentence for each hyper-parameter of the winner that lies at an end of its range.

    whole: what was searched before; an end that lies inside of it is none.
    """
    winner = search.ranked[0]
    found = []
    for name, d in search.spaces[winner.params["optimizer"]].items():
        if name not in winner.params:  # cycles, where another schedule won
            continue
        if whole is not None and edge_of(whole[winner.params["optimizer"]][name], winner.params[name]) is None:
            continue
        edge = edge_of(d, winner.params[name])
        if edge and not isinstance(d, Choice):
            end = d.low if edge == "lower" else d.high
            found.append(
                f"{name} {winner.params[name]:.2g} of {winner.params['optimizer']} lies at the {edge} end, {end:.2g}, of its range."
            )
    return found

"""A batch of trials under asynchronous halving: on the nodes of a cluster, or here, where decisions made there are followed.

How many runs the trials are cut into, and every decision of the halving, is written down before it is followed. So a
search goes on where it was, with workers or without, and `replay` in another folder comes to the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ravine.errors import FolderError
from ravine.recipe.runs import make_orders
from ravine.recipe.session import FREE_SHARE, Session
from ravine.search import Asked, Outcome, Study
from ravine.search.asynchronous import AsynchronousClimb, Decision, Here
from ravine.search.on_ray import OnRay, room_for
from ravine.search.serving import Workshop
from ravine.training import History, Kept, State, read_json
from ravine.training.files import understood
from ravine.types import Metrics

__all__ = ["DECISIONS", "at_work", "climb_apart", "decisions_of", "parts_for"]

PARTS_EACH = 2  # runs for each worker: there is one to take for those that are done, and for a node that joins


DECISIONS = "decisions.json"
"""In the folder of a search on a cluster: all that time and the order of arrival have decided."""


def decisions_of(folder: Path) -> dict[str, Any]:
    """What was decided in a finished search. Raises FolderError where nothing was, or nothing is kept of it."""
    if not (folder / DECISIONS).is_file():
        raise FolderError(
            f"{folder} has no {DECISIONS}: give the folder of a finished search with workers on a cluster (workers='ray')."
        )
    found = read_json(folder / DECISIONS)
    with understood(folder / DECISIONS):
        noted = {str(name): list(records) for name, records in found["noted"].items()}
        return {"decided": dict(found["decided"]), "noted": noted}


def parts_for(session: Session, trials: int) -> int:
    """Into how many runs so many trials are cut on a cluster; 0 where there is none, and runs climb together."""
    if session.cluster is None:
        return 0
    rooms = room_for(session.cluster)
    smallest = min((memory for _, memory in rooms), default=0.0)
    least = math.ceil(trials * session.trial_bytes / max(1.0, FREE_SHARE["cpu"] * smallest)) if smallest else 1
    return max(1, least, PARTS_EACH * sum(count for count, _ in rooms))


def climb_apart(
    session: Session,
    study: Study,
    phase: str,
    asked: Sequence[Asked],
    history: History,
    rungs: Sequence[int],
    *,
    parts: int,
    fixed: Mapping[str, Any],
    every: int,
    least: int,
    deadline: float,
) -> tuple[dict[int, Outcome], dict[int, Kept]]:
    """(outcomes, best weights) of the trials, by trial. The options are those of `carry_out`."""
    saver, watch, name = session.saver, session.watch, f"{phase} halving"
    orders, lost = make_orders(session, asked, steps=rungs[-1], fixed=fixed, every=every, parts=parts)
    for trial, reason in lost.items():
        watch.note(f"trial {trial} could not begin: {reason}.")

    def told(step: int, seen: Mapping[int, Metrics]) -> None:
        for trial, metrics in seen.items():
            study.report(trial, step, metrics)

    def watched(step: int, trials: int) -> None:
        saver.safe()
        study.alive()
        watch.advance(step / rungs[-1], f"{trials} trials, on average at step {step:,}")

    def decided(decision: Decision) -> None:
        saver.note(name, decision.record())

    def snapshot() -> State:
        return {"climb": climb.snapshot(), "history": history.snapshot()}

    climb = AsynchronousClimb(
        orders,
        rungs,
        session.crew or Here(Workshop(session.data, session.model, session.device)),
        history,
        least=least,
        deadline=deadline,
        decided=[Decision.of(record) for record in saver.noted(name)],
        say=watch.note,
    )
    with saver.going_on(phase) as saved:
        if saved:
            climb.restore(saved["climb"])
            history.restore(saved["history"])
    with saver.during(phase, snapshot):
        outcomes = climb.go(on_rung=told, on_slice=watched, on_decided=decided)
        saver.save()
    failed = {trial: Outcome(trial, {}, 0, 0, reason, failed=True) for trial, reason in lost.items()}
    return {**outcomes, **failed}, climb.best


@contextmanager
def at_work(session: Session, where: int | OnRay, trials: int | None) -> Iterator[None]:
    """The session has its workers: forks for each batch, or a crew on the cluster that it is connected to, from now on.

    trials: how many there will be at most; None where nobody knows.
    """
    if isinstance(where, int):
        session.workers = where
        yield
        return
    from ravine.search.ray_crew import RayCrew

    session.cluster = where
    workshop = Workshop(session.data, session.model, where.device)
    with RayCrew(where, workshop, session.watch.note) as session.crew:
        session.crew.expect(trials)
        yield
    session.crew = None

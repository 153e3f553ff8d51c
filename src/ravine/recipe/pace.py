"""How long a step of one trial takes here and now, measured before a search is planned."""

from __future__ import annotations

import time

from ravine.models import Model
from ravine.recipe.runs import PROBE
from ravine.recipe.session import Session
from ravine.training import Run, Setting

__all__ = ["measure_pace"]

TRIALS, WARM, STEPS = 4, 2, 10


def measure_pace(session: Session, optimizer: str, model: Model | None = None) -> float:
    """Seconds per trial and step, an evaluation per epoch (or per 50 steps) included. model: the session's if not given.

    A small population is trained for a few steps and thrown away; what was measured in an earlier step of
    the recipe may be minutes old, and other programs use the machine too. Workers on a cluster are taken to be as fast as
    this machine, each, and to train at the same time.
    """
    count = min(TRIALS, session.most)
    settings = [
        Setting(optimizer, lr=1e-4, batch_size=session.batch_size, seed=session.seed + k, order=session.seed)
        for k in range(count)
    ]
    run = Run(
        session.data,
        model or session.model,
        settings,
        steps=WARM + STEPS,
        probe=PROBE,
        engine=session.engine,
        device=session.device,
    )
    run.advance(WARM)
    start = time.perf_counter()
    run.advance(STEPS)
    middle = time.perf_counter()
    run.evaluate()
    end = time.perf_counter()
    return ((middle - start) / STEPS + (end - middle) / max(session.steps_per_epoch, 50)) / count / session.side_by_side

"""A search without training, killed again and again: run as a script by test_study.py.

    python killed_search.py WHOLE KILLED KILLS SEED

writes one study into folder WHOLE in one go, and the same into KILLED by processes of which the first KILLS are killed
with SIGKILL after a random time. Each begins from the beginning, as a resumed run does. Prints how many were killed
before they came to the end.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from ravine.search import Asked, Choice, Int, Log, Study, Uniform, known_settings, structures

SPACE = {
    "lr": Log(1e-4, 1e-1),
    "momentum": Uniform(0.8, 0.99),
    "hidden": Int(8, 64, log=True),
}
RESTARTS = {"schedule": Choice(["cosine", "warm_restarts"]), "cycles": Int(1, 4)}


def search(folder: Path) -> None:
    """40 coarse trials in waves of 8, drawn by TPE, two rungs; then 4 in a second phase, the winner first."""
    study = Study(folder, "classification", 5, ["adamw", "sgd"], sampler="tpe", resume=True)
    shapes = structures({"hidden": SPACE["hidden"]}, 40, 10, seed=5)
    asked: list[Asked] = []
    for wave in range(5):
        batch = [
            study.ask(
                ("adamw", "sgd")[i % 2],
                SPACE,
                "coarse",
                structure=shapes[8 * wave + i],
                first=known_settings("adamw", SPACE)[0] if wave == i == 0 else None,
            )
            for i in range(8)
        ]
        asked += batch
        end(study, batch, [10, 20])
    winner = max(asked, key=worth)
    wide = {**SPACE, **RESTARTS}
    end(study, [study.ask("sgd", wide, "refine", first=winner.params if i == 0 else None) for i in range(4)], [100])
    study.close()


def end(study: Study, batch: list[Asked], rungs: list[int]) -> None:
    """The worse half is pruned at each rung but the last; one of each batch fails."""
    alive = sorted(batch, key=worth, reverse=True)
    for rung in rungs:
        for a in alive:
            study.report(a.number, rung, {"accuracy": worth(a) + rung / 1000, "nll": 1.0})
        kept = alive if rung == rungs[-1] else alive[: (len(alive) + 1) // 2]
        for a in alive[len(kept) :]:
            study.tell(a.number, {"accuracy": worth(a), "nll": 1.0}, epochs=rung, reason=f"behind at step {rung}")
        alive = kept
    for a in alive:
        lost = a.number % 4 == 3
        metrics = None if lost else {"accuracy": worth(a), "nll": 1.0}
        study.tell(a.number, metrics, epochs=rungs[-1], reason="loss not finite" if lost else None)


def worth(a: Asked) -> float:
    return a.params["lr"] / (0.01 + a.params["lr"]) / a.params["hidden"]


def killed(folder: Path, seconds: float) -> bool:
    """Search in a process of its own and kill it after so many seconds; False when it was done before."""
    child = os.fork()
    if not child:
        search(folder)
        os._exit(0)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] != 0


if __name__ == "__main__":
    whole, broken, kills, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    begun = time.monotonic()
    search(whole)
    took = time.monotonic() - begun
    moments = np.random.default_rng(seed)
    print(sum(killed(broken, moments.uniform(0, 0.2 * took)) for _ in range(kills)))
    search(broken)

"""Drivers that share a study, without training: run as a script by test_postgres.py.

    python sharing_drivers.py ADDRESS STUDY SAMPLER TRIALS NAME...

lets a driver of each name, in a process of its own, ask for TRIALS trials in batches, run each, and tell how it ended. Every
trial that is run is printed, as one line: the driver's name and the trial's number.
"""

from __future__ import annotations

import os
import sys

from ravine.search import Asked, Log, Study, StudyServer, Uniform

SPACE = {"lr": Log(1e-4, 1e-1), "dropout": Uniform(0.0, 0.5)}
BATCH = 5


def opened(address: str, name: str, driver: str, sampler: str, trials: int = 64, seed: int = 7) -> Study:
    server = StudyServer(address, name)
    server.driver = driver
    return Study(None, "classification", seed, ["adamw"], sampler=sampler, trials=trials, server=server)


def worth(asked: Asked) -> float:
    return asked.params["dropout"] / (1 + asked.params["lr"])


def end(study: Study, asked: Asked) -> None:
    """Two rungs, and every third trial is pruned at the first."""
    study.report(asked.number, 10, {"accuracy": worth(asked) / 2, "nll": 1.0})
    if asked.number % 3:
        study.report(asked.number, 20, {"accuracy": worth(asked), "nll": 1.0})
    reason = None if asked.number % 3 else "behind at step 10"
    study.tell(asked.number, {"accuracy": worth(asked), "nll": 1.0}, epochs=2, reason=reason)


def drive(address: str, name: str, driver: str, sampler: str, trials: int) -> list[int]:
    """The numbers of the trials it ran."""
    ran: list[int] = []
    study = opened(address, name, driver, sampler, trials)
    for _ in range(trials // BATCH):
        batch = [study.ask("adamw", SPACE, "coarse") for _ in range(BATCH)]
        for asked in batch:
            os.write(1, f"{driver} {asked.number}\n".encode())
            ran.append(asked.number)
            end(study, asked)
    study.keep(None)
    study.close()
    return ran


if __name__ == "__main__":
    address, name, sampler, trials, *drivers = sys.argv[1:]
    children = []
    for driver in drivers:
        child = os.fork()
        if not child:
            drive(address, name, driver, sampler, int(trials))
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children))

"""Question: what bounds a search on 10, 100 and 1,000 workers, and what does it gain where nobody waits at a rung?

A simulation in seconds, not a measurement of a cluster: workers train populations of P trials over three rungs at 1 : 2 : 4, and half of the
trials go on at each. Synchronous: all wait for the last, and the better half of all goes on (ravine.search.halving). Asynchronous: a
population that reaches a rung is judged at once against all that have reached it so far (the stopping form of ASHA, Li et al.
2020, ravine.search.asynchronous). Both have the same trials, nodes and failures, drawn anew for each of n seeds:

    trials    seconds to the first rung: lognormal around --seconds, sigma 0.3; what is seen of a trial at a rung agrees with its end
              as benchmarks/rungs.py measured for the best so far: correlation 0.88 after a quarter, 0.94 after half of the training
    nodes     one in ten is slow by a factor of 1.5 to 3
    failures  each worker dies every 10 hours in the mean; it loses what it did since its last state, and is back after 20 s
    driver    one process, one thing at a time: it asks for all trials before the first begins, writes what is seen at each rung, hears
              each population every second, and takes in its state every 10 s, by which it goes on elsewhere when a worker dies

What the driver's work costs is measured first, here and now: the study's asks, reports and tells on a file in a temporary folder and, with
--storage, in a database (an empty study of its own is made there); a state's bytes through the packing that carries them. What a
message costs besides is benchmarks/scale_out.py's to measure: --message.

States come less often where they would fill more than a fifth of the driver's time, but none is older than 30 s, as in
ravine.search.asynchronous. Two changes are tried besides: four smaller populations for each worker, taken up as workers become free; and states
as old as it takes to fill no more than that fifth.

Told are the mean and the standard deviation over n seeds, and how much sooner a search would end if one thing were free.

    python benchmarks/asynchrony.py [--seeds 10] [--seconds 15] [--population 8] [--message 0.001] [--storage URL]
"""

from __future__ import annotations

import argparse
import dataclasses
import heapq
import itertools
import math
import os
import random
import secrets
import tempfile
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from _machine import machine
from ravine.search import Asked, Log, Study, StudyServer, Uniform
from ravine.search.messages import packed, unpacked

RUNGS = (1, 2, 4)  # in units of the first
AGREES = (0.883, 0.936)  # correlation of the best so far with the end, benchmarks/results/rungs.txt
LIFE = 36_000.0  # seconds that a worker lives in the mean
BACK = 20.0  # seconds until a population goes on elsewhere
STATE_EVERY, OLDEST, TURN = 10.0, 30.0, 1.0  # seconds, as in ravine.search.asynchronous
OWN_SHARE = 0.02  # of a population's time that its states may take, as there
STATES_SHARE = 0.2  # of the driver's time that the states of all populations may take, as there
WAYS: Sequence[tuple[str, bool, dict[str, Any]]] = (
    ("synchronous", True, {}),
    ("asynchronous", False, {}),
    ("asynchronous, in 4 populations a worker", False, {"parts": 4}),
    ("asynchronous, in 4 populations a worker, states of any age", False, {"parts": 4, "oldest": math.inf}),
)
SPACE = {"lr": Log(1e-4, 1e-1), "weight_decay": Log(1e-4, 1.0), "dropout": Uniform(0.0, 0.5)}


@dataclass(frozen=True)
class Costs:
    """Seconds of the driver's time."""

    ask: float  # a trial
    report: float  # a trial at a rung
    tell: float  # a trial's end
    message: float  # a word with a worker
    byte: float  # of a state, taken in


@dataclass(frozen=True)
class World:
    """What is simulated. population: trials for each worker; seconds: of a trial to the first rung."""

    workers: int
    population: int
    seconds: float
    costs: Costs
    state: float  # bytes of one trial's weights and moments
    slow: float = 0.1  # share of the nodes
    life: float = LIFE
    parts: int = 1  # populations for each worker, which together have `population` trials
    oldest: float = OLDEST  # seconds that a state may be old, whatever share of the driver's time it takes


@dataclass(frozen=True)
class Found:
    """How a search went. Times in seconds."""

    wall: float
    best_at: float  # when the best trial of those that came to the end was there
    behind: float  # by how much it is worse than the best of all trials, in standard deviations over trials
    used: float  # share of the workers' time until the end that went into training
    driver: float  # share of that time in which the driver was busy
    wrong: float  # share of those that went on which are not among the better half of all that were judged there
    trained: float  # worker-hours


class Draws:
    """The luck of one seed: everything both ways of halving have in common. K trials, W workers."""

    def __init__(self, world: World, seed: int) -> None:
        rng = np.random.default_rng(seed)
        count = world.workers * world.population
        self.seconds = (world.seconds * rng.lognormal(-0.045, 0.3, count)).tolist()  # [K], mean world.seconds
        self.end = rng.normal(size=count)
        early, late = (1 / rho**2 - 1 for rho in AGREES)
        second = self.end + math.sqrt(late) * rng.normal(size=count)
        self.seen = ((second + math.sqrt(early - late) * rng.normal(size=count)).tolist(), second.tolist())  # by rung
        luck, factor = rng.random(world.workers), rng.uniform(1.5, 3, world.workers)
        self.slowness = np.where(luck < world.slow, factor, 1.0).tolist()  # [W]
        self.luck = random.Random(seed).random  # noqa: S311 a simulation


class Driver:
    """A server that does one thing after the other, in the order in which they come."""

    def __init__(self) -> None:
        self.free, self.busy = 0.0, 0.0

    def serve(self, at: float, seconds: float) -> float:
        """When a thing that comes at this time is done."""
        self.free = max(self.free, at) + seconds
        self.busy += seconds
        return self.free


@dataclass
class Climber:
    """A population, and where it is."""

    alive: list[int]
    rung: int = 0
    worker: int = -1
    left: float = 0.0  # seconds of training to the next rung


class Search:
    """One search under way. wait: synchronous."""

    def __init__(self, world: World, seed: int, *, wait: bool) -> None:
        self.world, self.wait, self.draws, self.driver = world, wait, Draws(world, seed), Driver()
        count, size = world.workers * world.parts, world.population // world.parts
        self.climbers = [Climber(list(range(i * size, (i + 1) * size))) for i in range(count)]
        costs = world.costs
        each = size * world.state * costs.byte  # seconds that a whole state takes
        shares = max(each / OWN_SHARE, world.workers * each / STATES_SHARE)
        self.state_every = max(STATE_EVERY, min(world.oldest, shares))
        self.events: list[tuple[float, int, Climber]] = []
        self.order = itertools.count()
        self.idle, self.waiting = list(range(world.workers)), deque(self.climbers)
        self.judged: list[list[float]] = [[], []]  # by rung, rising
        self.went_on: list[list[int]] = [[], []]
        self.trained = self.wall = self.best_at = 0.0
        self.best = -math.inf

    def run(self) -> Found:
        asked = self.driver.serve(0.0, self.world.workers * self.world.population * self.world.costs.ask)
        self._take(asked)
        while self.events:
            at, _, one = heapq.heappop(self.events)
            if one.left > 0:
                words = self.state_every / TURN * self.world.costs.message
                state = len(one.alive) * self.world.state * self.world.costs.byte
                self._go(one, self.driver.serve(at, words + state))
            else:
                self._arrive(one, at)
        judged = [k for rung in (0, 1) for k in self.went_on[rung]]
        middle = [float(np.median(found)) for found in self.judged]
        wrong = sum(self.draws.seen[rung][k] < middle[rung] for rung in (0, 1) for k in self.went_on[rung])
        behind = float(self.draws.end.max()) - self.best
        used = self.trained / (self.wall * self.world.workers)
        driver = self.driver.busy / self.wall
        return Found(self.wall, self.best_at, behind, used, driver, wrong / len(judged), self.trained / 3600)

    def _take(self, at: float) -> None:
        """Free workers take populations that wait."""
        while self.idle and self.waiting:
            one = self.waiting.popleft()
            one.worker = self.idle.pop()
            self._climb(one, at)

    def _climb(self, one: Climber, at: float) -> None:
        """Set out for the next rung."""
        steps = RUNGS[one.rung] - (RUNGS[one.rung - 1] if one.rung else 0)
        one.left = sum(self.draws.seconds[k] for k in one.alive) * steps * self.draws.slowness[one.worker]
        self._go(one, at)

    def _go(self, one: Climber, at: float) -> None:
        """Train until the next state, or the rung."""
        piece = min(one.left, self.state_every)
        one.left -= piece
        self.trained += piece
        if self.draws.luck() < piece / self.world.life:
            at += self.draws.luck() * self.state_every + BACK
        heapq.heappush(self.events, (at + piece, next(self.order), one))

    def _arrive(self, one: Climber, at: float) -> None:
        """A population has come to a rung."""
        costs = self.world.costs
        done = self.driver.serve(at, costs.message + len(one.alive) * costs.report)
        if one.rung == len(self.judged):
            self.best, self.best_at = max((self.best, self.best_at), *((self.draws.end[k], done) for k in one.alive))
            self._end(one, self.driver.serve(done, len(one.alive) * costs.tell))
        elif self.wait:
            self._wait(one, done)
        else:
            stay = self._judged(one.rung, one.alive)
            done = self.driver.serve(done, (len(one.alive) - len(stay)) * costs.tell)
            self.went_on[one.rung] += stay
            one.alive, one.rung = stay, one.rung + 1
            self._climb(one, done) if stay else self._end(one, done)

    def _judged(self, rung: int, alive: Sequence[int]) -> list[int]:
        """Those that are among the better half of all that have come so far."""
        seen, ranks = self.draws.seen[rung], self.judged[rung]
        for k in alive:
            insort(ranks, seen[k])
        bar = ranks[-math.ceil(len(ranks) / 2)]
        return [k for k in alive if seen[k] >= bar]

    def _wait(self, one: Climber, at: float) -> None:
        """The last to come lets all others go."""
        rung = one.rung
        one.rung += 1
        self._end(one, at)
        if self.waiting or len(self.idle) < self.world.workers:
            return
        alive = [k for other in self.climbers for k in other.alive]
        stay = set(self._judged(rung, alive))
        self.went_on[rung] += stay
        at = self.driver.serve(at, (len(alive) - len(stay)) * self.world.costs.tell)
        for other in self.climbers:
            other.alive = [k for k in other.alive if k in stay]
        self.waiting.extend(other for other in self.climbers if other.alive)
        self._take(at)

    def _end(self, one: Climber, at: float) -> None:
        """Its worker is free."""
        self.wall = max(self.wall, at)
        self.idle.append(one.worker)
        self._take(at)


def measured(storage: str | None, message: float, state: int) -> Costs:
    """What the driver's work costs here: the mean over COUNT trials, of a study that holds COUNT before them."""
    count = 100
    with tempfile.TemporaryDirectory() as folder:
        server = None
        if storage:
            server = StudyServer(storage, f"asynchrony {secrets.token_hex(4)}")
            server.driver = "benchmark"
        study = Study(None if server else Path(folder), "classification", 0, ["adamw"], server=server)
        asked: list[Asked] = []
        for _ in range(count):
            asked.append(study.ask("adamw", SPACE, "coarse"))
        ask = timed(lambda _i: asked.append(study.ask("adamw", SPACE, "coarse")), count)
        report = timed(lambda i: study.report(asked[i].number, 1, {"accuracy": 0.5, "nll": 1.0}), count)
        tell = timed(lambda i: study.tell(asked[i].number, {"accuracy": 0.5, "nll": 1.0}, epochs=1), count)
        study.keep(None)
        study.close()
    whole = {"flat": torch.zeros(state // 4)}
    byte = timed(lambda _i: unpacked(packed(whole)), 20) / state
    return Costs(ask, report, tell, message, byte)


def timed(work: Callable[[int], object], count: int) -> float:
    """Seconds each, of the quickest of five blocks: others may use the machine."""
    blocks = []
    for block in range(5):
        began = time.perf_counter()
        for i in range(block * count // 5, (block + 1) * count // 5):
            work(i)
        blocks.append(time.perf_counter() - began)
    return 5 * min(blocks) / count


def told(values: Sequence[float], scale: float = 1.0, digits: int = 0) -> str:
    return f"{scale * np.mean(values):.{digits}f} ± {scale * np.std(values, ddof=1):.{digits}f}"


def shown(world: World, seeds: int) -> None:
    """Both ways, and what the asynchronous one would come to with two changes."""
    print(f"{world.workers:,} workers, {world.workers * world.population:,} trials, n = {seeds}")
    for name, wait, changes in WAYS:
        ours = dataclasses.replace(world, **changes)
        every = [Search(ours, seed, wait=wait).run() for seed in range(seeds)]
        parts = {f.name: [getattr(one, f.name) for one in every] for f in dataclasses.fields(Found)}
        print(
            f"  {name}: wall {told(parts['wall'])} s, best found at {told(parts['best_at'])} s, "
            f"{told(parts['behind'], digits=2)} sd behind the best there was"
        )
        print(
            f"      workers used {told(parts['used'], 100)} % ({told(parts['trained'], digits=1)} worker-hours), "
            f"driver busy {told(parts['driver'], 100)} %, went on wrongly {told(parts['wrong'], 100, 1)} %"
        )
        print(f"      sooner without: {', '.join(costly(ours, every, wait=wait))}")


def costly(world: World, every: Sequence[Found], *, wait: bool) -> list[str]:
    """By how much of its time a search would end sooner if one thing were free, the costliest first."""
    free = dict.fromkeys(("ask", "report", "tell"), 0.0)
    others = {
        "the study's writes": dataclasses.replace(world, costs=dataclasses.replace(world.costs, **free)),
        "states": dataclasses.replace(world, state=0.0),
        "messages": dataclasses.replace(world, costs=dataclasses.replace(world.costs, message=0.0)),
        "slow nodes": dataclasses.replace(world, slow=0.0),
        "failures": dataclasses.replace(world, life=math.inf),
    }
    gains = {
        name: [1 - Search(other, seed, wait=wait).run().wall / whole.wall for seed, whole in enumerate(every)]
        for name, other in others.items()
    }
    ordered = sorted(gains, key=lambda name: -np.mean(gains[name]))
    return [f"{name} {told(gains[name], 100)} %" for name in ordered]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--message", type=float, default=0.001)
    parser.add_argument("--parameters", type=int, default=270_000)
    parser.add_argument("--storage")
    args = parser.parse_args()
    torch.set_num_threads(1)
    state = 3 * 4 * args.parameters  # float32 weights and two moments
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}")
    for where in (None, args.storage) if args.storage else (None,):
        costs = measured(where, args.message, state)
        print(
            f"{'study in a database' if where else 'study in a file'}: a second holds {1 / costs.ask:.0f} asks, {1 / costs.report:.0f} reports, "
            f"{1 / costs.tell:.0f} tells (n = 100); {1e-9 / costs.byte:.2f} GB/s of states; a message takes {1000 * costs.message:g} ms (assumed)"
        )
        print(
            f"a trial: {args.seconds:g} s to the first rung, {4 * args.seconds:g} s in all, {state / 1e6:.1f} MB of state; "
            f"{args.population} trials a worker"
        )
        for workers in (10, 100, 1000):
            shown(World(workers, args.population, args.seconds, costs, state), args.seeds)


if __name__ == "__main__":
    main()

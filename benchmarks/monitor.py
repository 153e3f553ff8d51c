"""Claim: a `ravine.diagnosis.Monitor` at its default rate costs at most 5 % of a hand-written loop's time.

The same loop with and without `monitor.step(loss)`, for networks from 2,600 to 1.9 million parameters. Both train side by side,
50 steps of one and 50 of the other in turn, so that what else the machine does meets both, and which of them is made first
changes from round to round: the second one's memory lies worse. A round is 1,000 steps of each (200
of the largest) from an untrained network, the close looks at the first steps included. Time of the process's own threads is given
beside the wall clock: on a machine that others use too it is the steadier one.

    python benchmarks/monitor.py [--rounds 9] [--steps 1000] [--only 64-32-10]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _machine import machine
from ravine.diagnosis import Monitor

BLOCK = 50

ORDERS = ((False, True), (True, False))


def mlp(inputs: int, width: int, depth: int) -> nn.Sequential:
    sides = [inputs, *[width] * depth]
    layers = [part for a, b in pairwise(sides) for part in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def cnn() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 49, 10),
    )


Sizes = tuple[Callable[[], nn.Module], tuple[int, ...], int, Callable[..., torch.optim.Optimizer]]

CASES: dict[str, Sizes] = {
    "MLP 64-32-10, batch 32, SGD": (lambda: mlp(64, 32, 1), (64,), 32, torch.optim.SGD),
    "MLP 64-64-64-10, batch 32, Adam": (lambda: mlp(64, 64, 2), (64,), 32, torch.optim.Adam),
    "MLP 784-256-256-10, batch 128, AdamW": (lambda: mlp(784, 256, 2), (784,), 128, torch.optim.AdamW),
    "MLP 784-1024-1024-10, batch 128, AdamW": (lambda: mlp(784, 1024, 2), (784,), 128, torch.optim.AdamW),
    "MLP of 20 layers of 64, batch 64, SGD": (lambda: mlp(64, 64, 20), (64,), 64, torch.optim.SGD),
    "CNN with batch norm, 28 x 28, batch 64, Adam": (cnn, (1, 28, 28), 64, torch.optim.Adam),
}


def steps(
    model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, monitor: Monitor | None
) -> Iterator[None]:
    """The loop, a step at a time."""
    while True:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        if monitor is None:
            loss.backward()
            optimizer.step()
        else:
            with monitor.step(loss):
                loss.backward()
                optimizer.step()
        yield


def round_of(case: Sizes, count: int, order: tuple[bool, bool] = (False, True)) -> tuple[float, float, float]:
    """Wall-clock ratio, ratio of the process's own time, and ms a step without a monitor. order: which loop is made first."""
    make, shape, rows, rule = case
    x, y = torch.randn(rows, *shape), torch.randint(0, 10, (rows,))
    loops = {}
    for watched in order:
        model = make()
        optimizer = rule(model.parameters(), lr=1e-3)
        loops[watched] = steps(model, optimizer, x, y, Monitor(model, optimizer) if watched else None)
    wall, own = [0.0, 0.0], [0.0, 0.0]
    for block in range(count // BLOCK):
        for i in (False, True) if block % 2 else (True, False):
            begun, busy = time.perf_counter(), time.process_time()
            for _ in range(BLOCK):
                next(loops[i])
            wall[i] += time.perf_counter() - begun
            own[i] += time.process_time() - busy
    return wall[1] / wall[0], own[1] / own[0], 1e3 * wall[0] / (count // BLOCK * BLOCK)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", default="", help="the networks in whose name this stands")
    args = parser.parse_args()
    torch.manual_seed(0)
    print(machine())
    print(f"n = {args.rounds} rounds of {args.steps} steps; median (lowest to highest); to reach: <= 1.05")
    for name, case in ((name, case) for name, case in CASES.items() if args.only in name):
        round_of(case, 2 * BLOCK)
        count = args.steps // 5 if "1024" in name else args.steps
        wall, own, plain = zip(*(round_of(case, count, ORDERS[i % 2]) for i in range(args.rounds)), strict=True)
        print(
            f"{name:46} {statistics.median(plain):7.3f} ms a step alone; with a monitor {shown(wall)}, own time {shown(own)}",
            flush=True,
        )


def shown(ratios: tuple[float, ...]) -> str:
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


if __name__ == "__main__":
    main()

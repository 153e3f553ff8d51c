"""Claim: 100 configurations walk 10,000 steps on Rosenbrock's function in under 3 s, on one core.

The rates are spread so that every path takes all its steps (none may converge or diverge). What is timed is one call of
`walk`, from the rules to the finished paths: points, losses and why each stopped. Beside it stands what a person would
write, torch.optim with autograd and the points kept, for one configuration and fewer steps; its time for all is
worked out from that.

    python benchmarks/paths.py [--steps 10000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from _machine import machine
from ravine.landscapes import Path, surface, walk

CONFIGURATIONS, SECONDS, PLAIN = 100, 3.0, 1000

CASES: dict[str, tuple[list[str], tuple[float, float]]] = {
    "gd": (["gd"], (1e-6, 1e-4)),
    "momentum": (["momentum"], (1e-6, 1e-5)),
    "nesterov": (["nesterov"], (1e-6, 1e-5)),
    "adam": (["adam"], (1e-5, 1e-4)),
    "five rules, 20 rates each": (["gd", "momentum", "nesterov", "adagrad", "adam"], (1e-6, 1e-5)),
}

OPTIMIZERS: dict[str, Callable[[list[Tensor], float], torch.optim.Optimizer]] = {
    "gd": lambda params, lr: torch.optim.SGD(params, lr=lr),
    "adam": lambda params, lr: torch.optim.Adam(params, lr=lr),
}


def rates(low: float, high: float, count: int) -> list[float]:
    """So many rates, spread evenly on a log scale."""
    spread: list[float] = torch.linspace(0, 1, count, dtype=torch.float64).tolist()
    return [low * (high / low) ** share for share in spread]


def ours(rules: list[str], span: tuple[float, float], steps: int) -> tuple[float, list[Path]]:
    """Seconds for all configurations, and their paths."""
    function, lrs = surface("rosenbrock"), rates(*span, CONFIGURATIONS // len(rules))
    start = time.perf_counter()
    paths = walk(function, rules, lrs=lrs, steps=steps)
    return time.perf_counter() - start, paths


def by_hand(name: str, lr: float, steps: int) -> float:
    """Seconds of a plain loop for one configuration."""
    x = torch.nn.Parameter(torch.tensor([-1.2, 1.0], dtype=torch.float64))
    optimizer = OPTIMIZERS[name]([x], lr)
    points, losses = [], []
    start = time.perf_counter()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (x[0] - 1) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        optimizer.step()
        points.append(x.detach().clone())
        losses.append(loss.item())
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print(f"n = {args.rounds} rounds of {CONFIGURATIONS} configurations x {args.steps:,} steps, float64, Rosenbrock")
    print("seconds for all, median (least to most); a plain torch.optim loop: one configuration, worked out for all")
    reached = True
    for name, (rules, span) in CASES.items():
        walk(surface("rosenbrock"), rules, lrs=[span[0]], steps=50)  # warms up
        taken = []
        for _ in range(args.rounds):
            seconds, paths = ours(rules, span, args.steps)
            taken.append(seconds)
            assert all(path.steps == args.steps for path in paths), f"a path of {name} stopped early"
        plain = ""
        if name in OPTIMIZERS:
            times = [by_hand(name, span[0], PLAIN) for _ in range(args.rounds)]
            plain = f"   plain loop: {statistics.median(times) * CONFIGURATIONS * args.steps / PLAIN:6.1f}"
        reached = reached and statistics.median(taken) < SECONDS
        print(f"{name:26} {statistics.median(taken):5.2f} ({min(taken):.2f} to {max(taken):.2f}){plain}", flush=True)
    print(f"to reach: < {SECONDS:g} s in each: {'reached' if reached else 'not reached'}")


if __name__ == "__main__":
    main()

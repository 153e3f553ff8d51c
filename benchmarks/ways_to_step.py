"""Why rules are compiled as they are: one rule, RMSprop, stepped in five ways over the same 20 million numbers.

`C` is what Ravine does: `apply` printed as C, one call for all tensors. Beside it: the rule as it is, tensor by
tensor; `torch.compile` of `apply` over one flat vector; `torch.compile` over a list of tensors; Numba over one flat
vector (where Numba is installed). Each way runs in a process of its own, once with empty caches and once again, so the
first step tells what a user waits for.

    python benchmarks/ways_to_step.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor

from _machine import machine
from ravine.engines.compiled import compiled
from ravine.rules import RMSprop

NUMBERS = 20_000_000
RULE = RMSprop()
BY = (1e-4, 0.99, 1e-8)  # lr, alpha, eps


def fresh(cut: int) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Parameters, gradients and mean squares, in `cut` tensors each."""
    size = NUMBERS // cut
    return tuple([make(size) for _ in range(cut)] for make in (torch.randn, torch.randn, torch.zeros))


def in_c(cut: int) -> Callable[[], None]:
    params, grads, squares = fresh(cut)

    def step() -> None:
        code = compiled(RULE, torch.float32)
        assert code is not None
        code(params, grads, [squares], [1.0, *RULE.coefficients(BY[0], 1)])

    return step


def as_it_is(cut: int) -> Callable[[], None]:
    params, grads, squares = fresh(cut)

    def step() -> None:
        for param, grad, square in zip(params, grads, squares, strict=True):
            moved, state = RULE.update(param, grad, RULE.init(param)._replace(square=square), lr=BY[0], step=1)
            param.copy_(moved)
            square.copy_(state.square)

    return step


def by_inductor(cut: int) -> Callable[[], None]:
    params, grads, squares = fresh(cut)

    def steps(params: list[Tensor], grads: list[Tensor], squares: list[Tensor], lr: Tensor) -> None:
        for param, grad, square in zip(params, grads, squares, strict=True):
            kept = torch.lerp(square, grad * grad, 1 - BY[1])
            param.copy_(param - lr * grad / (kept.sqrt() + BY[2]))
            square.copy_(kept)

    code, lr = torch.compile(steps), torch.tensor(BY[0])
    return lambda: code(params, grads, squares, lr)


def by_numba(cut: int) -> Callable[[], None]:
    import numba

    params, grads, squares = ([each.numpy() for each in group] for group in fresh(cut))

    @numba.njit(parallel=True, fastmath=False, cache=True)
    def one(param, grad, square, lr, take, eps):  # Numba finds the types
        for i in numba.prange(param.size):
            square[i] += take * (grad[i] * grad[i] - square[i])
            param[i] -= lr * grad[i] / (square[i] ** 0.5 + eps)

    numbers = [torch.tensor(v, dtype=torch.float32).numpy()[()] for v in (BY[0], 1 - BY[1], BY[2])]
    return lambda: [one(p, g, s, *numbers) for p, g, s in zip(params, grads, squares, strict=True)] and None


WAYS = {"C": in_c, "as it is": as_it_is, "torch.compile": by_inductor, "numba": by_numba}
CUTS = {"C": (1, 50, 2000), "as it is": (1, 50), "torch.compile": (1, 50), "numba": (1,)}


def measure(way: str, cut: int, rounds: int) -> None:
    """What a process of its own prints: the first step's seconds, then the others' in ms."""
    step = WAYS[way](cut)
    taken = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    print(taken[0], *taken[1:])


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--rounds", type=int, default=9)
    words.add_argument("--way", choices=WAYS)
    words.add_argument("--cut", type=int)
    asked = words.parse_args()
    if asked.way:
        return measure(asked.way, asked.cut, asked.rounds)
    print(machine())
    print(f"RMSprop, {NUMBERS:,} float32 numbers; n = {asked.rounds} steps; ms a step: median (lowest-highest)")
    print(f"{'way':14} {'tensors':>7} | {'a step':>24} | first step, cold | from cache")
    for way, cuts in CUTS.items():
        if way == "numba" and not importlib.util.find_spec("numba"):
            print("numba          is not installed here")
            continue
        for cut in cuts:
            print(line(way, cut, asked.rounds), flush=True)
    return None


def line(way: str, cut: int, rounds: int) -> str:
    """Two processes over one empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        places = dict.fromkeys(("RAVINE_CACHE", "TORCHINDUCTOR_CACHE_DIR", "NUMBA_CACHE_DIR"), cache)
        words = [sys.executable, __file__, "--way", way, "--cut", str(cut), "--rounds", str(rounds)]
        runs = []
        for _ in range(2):
            done = subprocess.run(words, env={**os.environ, **places}, capture_output=True, text=True, check=True)
            runs.append([float(word) for word in done.stdout.split()])
    steps = sorted(1e3 * each for each in runs[1][1:])
    middle = f"{statistics.median(steps):.1f} ({steps[0]:.1f}-{steps[-1]:.1f})"
    return f"{way:14} {cut:7} | {middle:>24} | {runs[0][0]:14.2f} s | {runs[1][0]:8.2f} s"


if __name__ == "__main__":
    main()

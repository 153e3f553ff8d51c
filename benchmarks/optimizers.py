"""Claim: a step costs one pass over memory, for every elementwise rule and however the model is cut into tensors.

Every rule on 20 million float32 parameters, as 1 tensor, as 50 and as 2,000: `ravine.optim` beside torch.optim's
default, `foreach` and (where there is one) `fused`, in turns, in one process. A step reads parameter, gradient and
state and writes parameter and state; "copy, of it" is the time of a plain copy of the parameters in the same rounds,
and the share of its bandwidth (read and write) that our step reaches. Then the first step of a new process, with an
empty and with a filled cache of compiled rules, and what the steps take from the heap beyond the rule's state.

torch's default allocates in every step, and glibc gives such memory back to the system each time; an ordinary process
pays for the page faults. --keep-freed-memory spares it that, which shows the arithmetic alone.

    python benchmarks/optimizers.py [--rounds 7] [--device cpu] [--parameters 20000000]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor

from _machine import machine
from ravine import optim
from ravine.engines.allocator import keep_freed_memory

NAMES = ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Lion"]
SETTINGS = {"SGD": {"momentum": 0.9}}
FUSED = {"SGD", "Adagrad", "Adam", "AdamW"}
CUTS = [1, 50, 2000]
FIRST = """
import sys, time, resource
import torch
from ravine import optim
param = torch.nn.Parameter(torch.zeros(int(sys.argv[2])))
param.grad = torch.ones_like(param)
optimizer = getattr(optim, sys.argv[1])([param], lr=1e-3)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = peak(), time.perf_counter()
optimizer.step()
taken = time.perf_counter() - start
for _ in range(3):
    optimizer.step()
state = sum(v.nbytes for v in optimizer.state[param].values()) if param in optimizer.state else 0
print(taken, (peak() - before) / 1e6, state / 1e6)
"""


def contenders(name: str, device: str, cut: int, numbers: int) -> dict[str, Callable[[], object]]:
    """A step of each implementation over parameters of its own."""

    def stepper(kind: type[torch.optim.Optimizer], **more: object) -> Callable[[], object]:
        params = [torch.nn.Parameter(torch.randn(numbers // cut, device=device)) for _ in range(cut)]
        for param in params:
            param.grad = torch.randn_like(param)
        return kind(params, lr=1e-4, **SETTINGS.get(name, {}), **more).step

    ours = getattr(optim, name)
    theirs = getattr(torch.optim, name, None)
    found = {"ravine": stepper(ours)}
    if theirs is not None:
        found["default"] = stepper(theirs)
        found["foreach"] = stepper(theirs, foreach=True)
        if name in FUSED and (device == "cpu" or name != "Adagrad"):
            found["fused"] = stepper(theirs, fused=True)
    return found


def timed(step: Callable[[], object], device: str) -> float:
    """Seconds of one call."""
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def copying(device: str, numbers: int) -> Callable[[], object]:
    """A plain copy of all the numbers."""
    source = torch.randn(numbers, device=device)
    target = torch.randn(numbers, device=device)
    return lambda: target.copy_(source)


def moved(name: str, numbers: int) -> int:
    """Bytes that one step has to read and write."""
    param = torch.nn.Parameter(torch.zeros(8))
    param.grad = torch.ones(8)
    optimizer = getattr(optim, name)([param], lr=1e-3, **SETTINGS.get(name, {}))
    optimizer.step()
    kept = sum(isinstance(v, Tensor) and v.shape == param.shape for v in optimizer.state[param].values())
    return 4 * numbers * (3 + 2 * kept)


def side_by_side(name: str, cut: int, rounds: int, device: str, numbers: int) -> None:
    """One line: medians in ms, each peer's time over ours with its spread, and our share of the copy bandwidth."""
    steps = {**contenders(name, device, cut, numbers), "copy": copying(device, numbers)}
    for step in steps.values():
        step(), step()
    times: dict[str, list[float]] = {who: [] for who in steps}
    for k in range(rounds):
        turns = list(steps.items())
        for who, step in turns[k % len(turns) :] + turns[: k % len(turns)]:
            times[who].append(timed(step, device))
    ours = statistics.median(times["ravine"])
    words = [f"{name:9} {cut:5} | {1e3 * ours:7.1f}"]
    for who in ("default", "foreach", "fused"):
        if who in times:
            ratios = sorted(peer / mine for peer, mine in zip(times[who], times["ravine"], strict=True))
            median = statistics.median(ratios)
            words.append(f"{1e3 * statistics.median(times[who]):7.1f} {median:5.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})")
        else:
            words.append(f"{'-':>7} {'':18}")
    share = moved(name, numbers) / ours / (8 * numbers / statistics.median(times["copy"]))
    print(" | ".join([*words, f"{1e3 * statistics.median(times['copy']):4.1f} {100 * share:4.0f} %"]), flush=True)


def first_steps(name: str, numbers: int) -> str:
    """Seconds of the first step with an empty cache and with a filled one, and megabytes beyond the state."""
    with tempfile.TemporaryDirectory() as cache:
        words = [sys.executable, "-c", FIRST, name, str(numbers)]
        env = {**os.environ, "RAVINE_CACHE": cache}
        runs = [subprocess.run(words, env=env, capture_output=True, text=True, check=True) for _ in range(2)]
    cold, cached = (run.stdout.split() for run in runs)
    grown, state = float(cached[1]), float(cached[2])
    return f"{name:9} | {float(cold[0]):6.2f} s | {float(cached[0]):6.2f} s | {grown:6.1f} MB | {state:6.1f} MB"


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    words.add_argument("--parameters", type=int, default=20_000_000)
    words.add_argument("--keep-freed-memory", action="store_true")
    words.add_argument("--rules", nargs="*", default=NAMES)
    asked = words.parse_args()
    if asked.keep_freed_memory:
        keep_freed_memory()
    print(f"{machine()}; device {asked.device}; freed memory {'kept' if asked.keep_freed_memory else 'given back'}")
    print(f"n = {asked.rounds} rounds; ms a step (median); ratio = peer's time / ours, median (lowest-highest)")
    print("to reach on a CPU: 0.95 x fused; 3 x default for RMSprop, Adadelta, NAdam, RAdam, Adamax")
    print(f"{'rule':9} {'cut':>5} | {'ravine':>7} | {'default':>26} | {'foreach':>26} | {'fused':>26} | copy, of it")
    for name in asked.rules:
        for cut in CUTS:
            side_by_side(name, cut, asked.rounds, asked.device, asked.parameters)
    if asked.device == "cpu":
        print("first step of a new process: cold | from cache | the heap's growth over the steps | the rule's state")
        for name in asked.rules:
            print(first_steps(name, asked.parameters), flush=True)
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()

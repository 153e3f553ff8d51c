"""Claim: the largest Hessian eigenvalue of a 270,000-parameter MLP over 10,000 images, to 1 %, costs at most 40 gradients.

MLP 784-256-256-10 on 10,000 training images of MNIST, untrained and after 3 epochs of Adam. One repetition is a
gradient over all images (the median of three) and then the whole call from the model to the eigenvalue, graphs and
Lanczos included, side by side; each repetition draws another start. The truth is the same value to 1e-5. On one thread
unless asked otherwise: where other programs use the cores, threads that wait for each other are what is timed.

    python benchmarks/curvature.py [FOLDER_OF_MNIST] [--repetitions 7] [--threads 1]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from _machine import machine
from ravine.curvature import Objective, extremes, hessian
from ravine.data import Data, MemorySplit, load
from ravine.engines.allocator import keep_freed_memory
from ravine.models import Model, mlp
from ravine.training import Run, Setting

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
IMAGES, BATCH, TOL = 10_000, 1000, 0.01


def small(folder: Path) -> Data:
    data = load(str(folder), seed=0)
    return dataclasses.replace(data, train=MemorySplit(*data.train.batch(torch.arange(IMAGES))))


def networks(data: Data) -> dict[str, nn.Module]:
    model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (256, 256)})
    setting = Setting(optimizer="adam", lr=1e-3, weight_decay=0.0, batch_size=100)
    run = Run(data, model, [setting], steps=3 * IMAGES // 100)
    run.advance(run.steps)
    trained = model.build(0)
    trained.load_state_dict(run.population.state(0))
    return {"untrained": model.build(0), "trained": trained}


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PLACE)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    keep_freed_memory()
    data = small(args.folder)
    print(machine())
    for name, network in networks(data).items():
        report(name, network, data, args.repetitions)


def report(name: str, network: nn.Module, data: Data, repetitions: int) -> None:
    objective = Objective(network, data.train, data.task, batch=BATCH)
    truth = extremes(hessian(objective), smallest=0, tol=1e-5, seed=1000).largest
    objective.gradient()
    rows = []
    for seed in range(repetitions):
        gradient = statistics.median(seconds(objective.gradient) for _ in range(3))
        start = time.perf_counter()
        fresh = Objective(network, data.train, data.task, batch=BATCH)
        found = extremes(hessian(fresh), smallest=0, tol=TOL, seed=seed)
        taken = time.perf_counter() - start
        wrong = abs(float(found.largest.values[0] / truth.values[0]) - 1)
        rows.append((taken / gradient, gradient, taken, found.products, wrong))
    ratios, gradients, times, products, errors = zip(*rows, strict=True)
    print(
        f"{name}: {objective.size:,} parameters, {len(data.train):,} images, {repetitions} repetitions, largest eigenvalue "
        f"{float(truth.values[0]):.5g} (+- {float(truth.errors[0]):.1g})"
    )
    print(f"  a gradient {1e3 * statistics.median(gradients):.0f} ms, the eigenvalue {statistics.median(times):.2f} s")
    print(
        f"  products {min(products)} to {max(products)}; farthest from the truth {100 * max(errors):.3f} %; to reach: 1 %"
    )
    print(
        f"  gradients' worth of time: median {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); "
        "to reach: 40 at most",
        flush=True,
    )


if __name__ == "__main__":
    main()

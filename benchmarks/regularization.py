"""Claim: on MNIST each regularizer stands where Srivastava et al. 2014 put it (their table 9).

Their network, 784-1024-1024-2048-10 ReLU, by six ways of regularizing. Test errors of the paper, in %, after long
training on 60,000 images: L2 1.62, L2 + L1 1.60, max-norm 1.35, dropout + L2 1.25, dropout + max-norm 1.05. Dropout
drops 20 % of the inputs and 50 % of each hidden layer. The shortened form trains on 10,000 images for a few epochs
with three seeds, and asks for the paper's order of the means, not for its figures; --whole trains on all images.

    python benchmarks/regularization.py [FOLDER_OF_MNIST] [--epochs 10] [--seeds 3] [--whole] [--device cpu]
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from _machine import machine
from ravine.data import Data, MemorySplit, load
from ravine.models import Model
from ravine.models.initialization import start_quiet
from ravine.regularization import Dropout
from ravine.training import Run, Setting
from ravine.training.run import on_device, outputs_on

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
PAPER = {"none": None, "L2": 1.62, "L2 + L1": 1.60, "max-norm": 1.35, "dropout + L2": 1.25, "dropout + max-norm": 1.05}

BASE = Setting(optimizer="sgd", momentum=0.9, lr=0.05, warmup=0.1, batch_size=128, dropout=0.0)
WAYS = {
    "none": BASE,
    "L2": dataclasses.replace(BASE, l2=2e-4),
    "L2 + L1": dataclasses.replace(BASE, l2=1e-4, l1=1e-5),
    "max-norm": dataclasses.replace(BASE, max_norm=1.5),
    "dropout + L2": dataclasses.replace(BASE, dropout=None, l2=1e-5),
    "dropout + max-norm": dataclasses.replace(BASE, dropout=None, max_norm=2.5),
}


def network(shape: Sequence[int], outputs: int) -> nn.Module:
    """The paper's network; its dropout rates are the layers' own, and a setting of 0 takes them all away."""
    widths: list[int] = [math.prod(shape), 1024, 1024, 2048]
    layers: list[nn.Module] = [nn.Flatten(), Dropout(0.2)]
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), Dropout(0.5)]
    return start_quiet(nn.Sequential(*layers, nn.Linear(widths[-1], outputs)))


def fewer(data: Data, rows: int) -> Data:
    return dataclasses.replace(data, train=MemorySplit(*data.train.batch(torch.arange(rows))))


def errors(data: Data, setting: Setting, seeds: int, epochs: int, device: str) -> tuple[list[float], list[float]]:
    """Test and validation errors of the last weights in %, one per seed."""
    settings = [dataclasses.replace(setting, seed=seed, order=0) for seed in range(seeds)]
    model = Model("", network, data.input_shape, data.outputs)
    run = Run(data, model, settings, steps=epochs * (len(data.train) // setting.batch_size), device=device)
    run.advance(run.steps)
    found = []
    for split in (data.test, data.validation):
        here = on_device(split, device)
        wrong = (outputs_on(run.population, here).argmax(-1) != here.y).float().mean(1)
        found.append((100 * wrong).tolist())
    return found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PLACE)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="all training images, and more epochs of your choice")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    data = load(str(args.folder), seed=0)
    data = data if args.whole else fewer(data, 10_000)
    print(machine())
    print(f"{len(data.train):,} training images, {args.epochs} epochs, {args.seeds} seeds")
    print(f"{'':20} {'test error, %':>16} {'validation, %':>16} {'paper':>6} {'seconds':>8}", flush=True)
    means: dict[str, float] = {}
    for name, setting in WAYS.items():
        start = time.perf_counter()
        test, validation = errors(data, setting, args.seeds, args.epochs, args.device)
        means[name] = statistics.fmean(test)
        cells = [f"{statistics.fmean(part):.2f} +- {statistics.pstdev(part):.2f}" for part in (test, validation)]
        paper = "" if PAPER[name] is None else f"{PAPER[name]:.2f}"
        print(f"{name:20} {cells[0]:>16} {cells[1]:>16} {paper:>6} {time.perf_counter() - start:8.0f}", flush=True)
    order = sorted(means, key=means.__getitem__, reverse=True)
    print(f"order of the means, worst first: {', '.join(order)}")
    print(f"the paper's: {', '.join(WAYS)}: {'reached' if order == list(WAYS) else 'not reached'}")


if __name__ == "__main__":
    main()

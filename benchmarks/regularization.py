"""Claim: on MNIST each regularizer stands where Srivastava et al. 2014 put it (their table 9).

Their network, 784-1024-1024-2048-10 ReLU on pixels in [0, 1], by six ways of regularizing. Test errors of the paper,
in %, after long training on 60,000 images: L2 1.62, L2 + L1 1.60, max-norm 1.35, dropout + L2 1.25, dropout + max-norm
1.05. Dropout drops 20 % of the inputs and 50 % of each hidden layer. The shortened form trains on 10,000 images with
three seeds, in bfloat16 where that is faster, and asks for the paper's order of the means, not for its figures;
--whole trains on all images. Rates and strengths were chosen on validation.

    python benchmarks/regularization.py [FOLDER_OF_MNIST] [--seeds 3] [--longer 1] [--whole] [--device cpu]
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
from torch import Tensor, nn

from _machine import machine
from ravine.data import Data, MemorySplit, Split, load
from ravine.models import Model
from ravine.models.initialization import start_quiet
from ravine.regularization import Dropout
from ravine.training import Run, Setting
from ravine.training.run import on_device, outputs_on

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
PAPER = {"none": None, "L2": 1.62, "L2 + L1": 1.60, "max-norm": 1.35, "dropout + L2": 1.25, "dropout + max-norm": 1.05}

PLAIN = Setting(optimizer="adamw", lr=3e-3, warmup=0.1, batch_size=256, dropout=0.0)
DROPPING = dataclasses.replace(PLAIN, lr=4e-3, dropout=None)  # the layers' own rates
SHORT, LONGER, LONG = 12, 20, 30  # epochs: a limit bears more of them and a larger rate, dropout learns more slowly
WAYS = {
    "none": (PLAIN, SHORT),
    "L2": (dataclasses.replace(PLAIN, l2=1e-5), SHORT),
    "L2 + L1": (dataclasses.replace(PLAIN, l2=1e-5, l1=1e-6), SHORT),
    "max-norm": (dataclasses.replace(PLAIN, lr=4e-3, max_norm=1.0), LONGER),
    "dropout + L2": (dataclasses.replace(DROPPING, l2=1e-6), LONG),
    "dropout + max-norm": (dataclasses.replace(DROPPING, max_norm=1.5), LONG),
}


class Network(nn.Module):
    """The paper's network, computed in bfloat16; a setting's dropout of 0 takes its rates away."""

    def __init__(self, shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        widths: list[int] = [math.prod(shape), 1024, 1024, 2048]
        layers: list[nn.Module] = [nn.Flatten(), Dropout(0.2)]
        for before, after in itertools.pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU(), Dropout(0.5)]
        self.layers = start_quiet(nn.Sequential(*layers, nn.Linear(widths[-1], outputs)))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16):
            return self.layers(x).float()


def pixels(data: Data, rows: int | None) -> Data:
    """The images in [0, 1], where a dropped pixel is a black one; the first `rows` to train on."""
    x, _ = data.train.batch(torch.arange(len(data.train)))
    black, white = x.min(), x.max()

    def scaled(split: Split, rows: int | None = None) -> MemorySplit:
        x, y = split.batch(torch.arange(rows or len(split)))
        return MemorySplit((x - black) / (white - black), y)

    splits = {"train": scaled(data.train, rows), "validation": scaled(data.validation), "test": scaled(data.test)}
    return dataclasses.replace(data, **splits)


def errors(data: Data, setting: Setting, seeds: int, epochs: int, device: str) -> tuple[list[float], list[float]]:
    """Test and validation errors of the last weights in %, one per seed."""
    settings = [dataclasses.replace(setting, seed=seed, order=0) for seed in range(seeds)]
    model = Model("", Network, data.input_shape, data.outputs)
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
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--longer", type=float, default=1.0, help="times as many epochs")
    parser.add_argument("--whole", action="store_true", help="all training images")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    data = pixels(load(str(args.folder), seed=0), None if args.whole else 10_000)
    print(machine())
    print(f"{len(data.train):,} training images, {args.seeds} seeds")
    print(f"{'':20} {'epochs':>6} {'test error, %':>16} {'validation, %':>16} {'paper':>6} {'seconds':>8}", flush=True)
    means: dict[str, float] = {}
    begun = time.perf_counter()
    for name, (setting, usual) in WAYS.items():
        start, epochs = time.perf_counter(), round(usual * args.longer)
        test, validation = errors(data, setting, args.seeds, epochs, args.device)
        means[name] = statistics.fmean(test)
        cells = [f"{statistics.fmean(part):.2f} +- {statistics.pstdev(part):.2f}" for part in (test, validation)]
        paper = "" if PAPER[name] is None else f"{PAPER[name]:.2f}"
        seconds = time.perf_counter() - start
        print(f"{name:20} {epochs:6} {cells[0]:>16} {cells[1]:>16} {paper:>6} {seconds:8.0f}", flush=True)
    order = sorted(means, key=means.__getitem__, reverse=True)
    print(f"order of the means, worst first: {', '.join(order)}")
    print(f"the paper's: {', '.join(WAYS)}: {'reached' if order == list(WAYS) else 'not reached'}")
    print(f"{time.perf_counter() - begun:.0f} s in all; to reach on a CPU: 600")


if __name__ == "__main__":
    main()

"""Claim: five independent models, trained as one population, have a lower NLL than one, for less than three trainings.

MNIST with 5,000 training images, MLP 784-64-64-10, for each of five seeds:
    single        one training of 20 epochs, weights of its best epoch
    independent   five of them with other seeds, as one population, averaged
    snapshots     one training of 20 epochs in five cycles, the weights at the foot of each averaged
    swa           one training at a constant rate, its second half averaged where that is better on validation
    greedy        at most five of twelve models with other rates, decays and dropout, as a search has them

Chosen on 5,000 validation images, measured on the 10,000 test images.

    python benchmarks/ensembles.py [FOLDER_OF_MNIST] [--seeds 5]
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from _machine import machine
from ravine.data import Data, MemorySplit, load
from ravine.engines.allocator import keep_freed_memory
from ravine.models import Model, mlp
from ravine.recipe.handback import Committee, Ranked, averaged_if_better, greedy, hand_back, ranked
from ravine.recipe.session import Session
from ravine.training import Run, Setting, averaging_for, train_members

PLACE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
EPOCHS, BATCH = 20, 64
SETTING = Setting(lr=2e-3, weight_decay=0.05, batch_size=BATCH)


def small(folder: Path) -> Data:
    """5,000 images to train on, 5,000 to choose by."""
    data = load(str(folder), seed=0)
    x, y = data.train.batch(torch.arange(10_000))
    return dataclasses.replace(data, train=MemorySplit(x[:5000], y[:5000]), validation=MemorySplit(x[5000:], y[5000:]))


def equal(kind: str, members: list[Ranked]) -> Committee:
    return Committee(kind, members, [1.0] * len(members), len(members))


class Ways:
    """The five ways, each from a seed to a committee."""

    def __init__(self, data: Data) -> None:
        self.session = Session(data, Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (64, 64)}), 0, BATCH)
        self.steps = EPOCHS * self.session.steps_per_epoch

    def members(self, setting: Setting, **more: object) -> tuple[Run, list[Ranked]]:
        every = self.session.steps_per_epoch
        trained = train_members(self.session.data, self.session.model, setting, steps=self.steps, every=every, **more)
        return trained.run, ranked(self.session, trained.members)

    def single(self, seed: int) -> Committee:
        return equal("single", self.members(dataclasses.replace(SETTING, seed=seed))[1])

    def independent(self, seed: int) -> Committee:
        return equal("independent", self.members(dataclasses.replace(SETTING, seed=seed), size=5)[1])

    def snapshots(self, seed: int) -> Committee:
        setting = dataclasses.replace(SETTING, seed=seed)
        return equal("snapshots", self.members(setting, kind="snapshots", size=5)[1])

    def swa(self, seed: int) -> Committee:
        setting = dataclasses.replace(SETTING, seed=seed, schedule="constant")
        averaging = averaging_for("swa", self.steps, self.session.steps_per_epoch)
        run, (best,) = self.members(setting, averaging=averaging)
        return equal("swa", [averaged_if_better(self.session, run, best)])

    def greedy(self, seed: int) -> Committee:
        draws = torch.rand(12, 3, generator=torch.Generator().manual_seed(seed)).tolist()
        settings = [
            dataclasses.replace(
                SETTING, lr=10 ** (-3.5 + 1.5 * a), weight_decay=10 ** (-3 + 3 * b), dropout=0.4 * c, seed=seed + i
            )
            for i, (a, b, c) in enumerate(draws)
        ]
        run = Run(self.session.data, self.session.model, settings, steps=self.steps, every=self.session.steps_per_epoch)
        run.advance(self.steps)
        run.evaluate()
        return greedy(self.session, ranked(self.session, list(run.best.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=PLACE)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    keep_freed_memory()
    print(machine())
    print(
        f"{EPOCHS} epochs, batch {BATCH}, {args.seeds} seeds; seconds are of training, evaluation every epoch included"
    )
    ways = Ways(small(args.folder))
    found: dict[str, list[tuple[float, float, float, float]]] = {}
    for seed in range(args.seeds):
        for name in ("single", "independent", "snapshots", "swa", "greedy"):
            found.setdefault(name, []).append(measured(ways, getattr(ways, name), 100 * seed))
    print(f"{'':12} {'accuracy':>18} {'nll':>18} {'ece':>18} {'seconds':>14}")
    for name, rows in found.items():
        columns = list(zip(*rows, strict=True))
        cells = [f"{statistics.fmean(c):.4f} +- {statistics.pstdev(c):.4f}" for c in columns[:3]]
        print(f"{name:12} {cells[0]:>18} {cells[1]:>18} {cells[2]:>18} {statistics.fmean(columns[3]):>8.1f}")
    wins = sum(a[1] < b[1] for a, b in zip(found["independent"], found["single"], strict=True))
    ratios = [a[3] / b[3] for a, b in zip(found["independent"], found["single"], strict=True)]
    print(f"independent below single in NLL on {wins} of {args.seeds} seeds; to reach: all")
    print(
        f"time of independent over single: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}); to reach: < 3"
    )


def measured(ways: Ways, way: Callable[[int], Committee], seed: int) -> tuple[float, float, float, float]:
    """Accuracy, NLL and ECE on the test images, and seconds of training."""
    start = time.perf_counter()
    committee = way(seed)
    seconds = time.perf_counter() - start
    test = hand_back(ways.session, committee.members[0], committee).answers[committee.kind].test
    return test["accuracy"], test["nll"], test["ece"], seconds


if __name__ == "__main__":
    main()

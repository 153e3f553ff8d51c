"""Question: by which early score should successive halving drop trials whose learning rates are still on their way?

Random settings (learning rate x decay x dropout x optimizer) of an MLP 64-64 are trained to the end under a cosine with warm-up; what
each reached there is the truth. Then the scores that halving could go by, after a quarter and a half of the training:

    shared      the same run: all trials are at the same phase of one schedule that is stretched over the whole
    constant    a run of its own at a constant rate
    annealed    a run of its own whose schedule ends at the rung

and of each the last accuracy measured, the mean of the last three, the best so far, or the last loss. A rule is as good as its order
agrees with the truth's (Spearman's rho), and as little as it costs to keep the better half by it (regret: the best accuracy of all less
the best of the kept, over random subsets of 16 trials). "annealed" must train survivors anew; "shared" goes on where it is.

    python benchmarks/rungs.py [--trials 48] [--seeds 2] [--tables FOLDER] [--mnist FOLDER]
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from _machine import machine
from ravine.data import Data, MemorySplit, load
from ravine.models import Model, mlp
from ravine.training import Run, Setting
from ravine.types import Metrics

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SLICES = 16  # evaluations of a whole training
RUNGS = (SLICES // 4, SLICES // 2)
SUBSET, DRAWS = 16, 400
Scores = NDArray[np.float64]


def data_sets(args: argparse.Namespace) -> Iterator[tuple[str, Data, int]]:
    """Name, data and the steps of a whole training."""
    yield "digits", load("digits", seed=0), 544
    if args.mnist.exists():
        data = load(str(args.mnist), seed=0)
        cut = (MemorySplit(*s.batch(torch.arange(n))) for s, n in ((data.train, 10_000), (data.validation, 2_000)))
        train, validation = cut
        yield "mnist", dataclasses.replace(data, train=train, validation=validation), 1504
    for path in sorted(args.tables.glob("*.csv")):
        yield path.stem, load(str(path), target="target", seed=0), 800


def drawn(count: int, seed: int) -> list[Setting]:
    rng = np.random.default_rng(seed)
    return [
        Setting(
            optimizer=("adamw", "sgd")[i % 2],
            lr=float(10 ** rng.uniform(-4, -0.5)),
            weight_decay=float(10 ** rng.uniform(-6, -1)),
            dropout=float(rng.uniform(0, 0.5)),
            seed=1000 * seed + i,
            order=seed,
        )
        for i in range(count)
    ]


def curves(
    data: Data, settings: Sequence[Setting], steps: int, slices: int, **schedule: object
) -> tuple[Scores, Scores]:
    """Validation accuracy and loss after every slice of a training of `steps`, [slices, K] each."""
    model = Model("mlp", mlp, data.input_shape, data.outputs, {"hidden": (64, 64)})
    found: list[list[Metrics]] = [[{}] * len(settings) for _ in range(slices)]
    for optimizer in sorted({s.optimizer for s in settings}):
        index = [i for i, s in enumerate(settings) if s.optimizer == optimizer]
        chosen = [dataclasses.replace(settings[i], **schedule) for i in index]  # type: ignore[arg-type]
        run = Run(data, model, chosen, steps=steps)
        for at in range(slices):
            run.advance(steps * (at + 1) // slices - run.step)
            for i, metrics in zip(index, run.evaluate(), strict=True):
                found[at][i] = metrics
    return tuple(np.array([[m[name] for m in row] for row in found]) for name in ("accuracy", "nll"))  # type: ignore[return-value]


def scored(accuracy: Scores, loss: Scores) -> dict[str, Scores]:
    """Ways to score a trial at the end of its curve so far, each [K]; higher is better, ties go by the loss."""
    tie = 1e-6 / (1 + np.nan_to_num(loss[-1], nan=np.inf, posinf=np.inf))
    return {
        "last": accuracy[-1] + tie,
        "mean of three": accuracy[-3:].mean(0) + tie,
        "best so far": accuracy.max(0) + tie,
        "last loss": -np.nan_to_num(loss[-1], nan=1e9, posinf=1e9),
    }


def regret(score: Scores, truth: Scores) -> float:
    """What keeping the better half loses, on average, in accuracy."""
    rng, lost = np.random.default_rng(0), []
    for _ in range(DRAWS):
        some = rng.choice(len(truth), SUBSET, replace=False)
        kept = some[np.argsort(score[some])[-SUBSET // 2 :]]
        lost.append(truth[some].max() - truth[kept].max())
    return float(np.mean(lost))


def judged(data: Data, settings: Sequence[Setting], steps: int) -> dict[tuple[str, str, int], tuple[float, float]]:
    """(rho, regret) by rule, score and rung."""
    whole = curves(data, settings, steps, SLICES, schedule="cosine", warmup=0.1)
    truth = whole[0].max(0)
    flat = curves(data, settings, steps * RUNGS[-1] // SLICES, RUNGS[-1], schedule="constant", warmup=0.0)
    found = {}
    for rung in RUNGS:
        own = curves(data, settings, steps * rung // SLICES, rung, schedule="cosine", warmup=0.1)
        for rule, (accuracy, loss) in {"shared": whole, "constant": flat, "annealed": own}.items():
            for how, score in scored(accuracy[:rung], loss[:rung]).items():
                found[rule, how, rung] = (float(spearmanr(score, truth).statistic), regret(score, truth))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--tables", type=Path, default=SHARED / "tabular")
    parser.add_argument("--mnist", type=Path, default=SHARED / "mnist")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print(machine())
    print(f"n = {args.seeds} draws of {args.trials} settings a data set")
    every: list[dict[tuple[str, str, int], tuple[float, float]]] = []
    names: list[str] = []
    for name, data, steps in data_sets(args):
        for seed in range(args.seeds):
            every.append(judged(data, drawn(args.trials, seed), steps))
            names.append(name)
        print(f"  {name}: {steps} steps, {len(data.train):,} rows", flush=True)
    print("rho, and regret in % of accuracy: all data sets | images (digits, mnist) | tables")
    image = np.array([name in ("digits", "mnist") for name in names])
    for key in every[0]:
        values = np.array([one[key] for one in every])
        parts = [values, values[image], values[~image]]
        means = " | ".join(f"{p[:, 0].mean():.3f} {100 * p[:, 1].mean():.2f}" if len(p) else "-" for p in parts)
        print(f"  {key[0]:9} {key[1]:14} after {key[2]}/{SLICES}: {means}")


if __name__ == "__main__":
    main()

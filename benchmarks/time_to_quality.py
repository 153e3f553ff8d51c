"""Claim: `ravine search` reaches the best validation accuracy of an Optuna search of 64 trials in a fraction of its time.

The same model (MLP, hidden layers of 64 and 64), the same training and validation rows, the same space (learning rate x
decay x dropout x optimizer), 64 trials of the same number of epochs each. The peers train one trial after another in a plain
PyTorch loop: (a) Optuna's TPE with its MedianPruner, told the accuracy after every epoch, (b) random sampling without
pruning. Reached: the wall clock from the call until the best accuracy so far was at least the final best of the peer.

Two figures a pair: against the peer's whole search, which is how long a person waits for it, and against the moment at
which the peer itself first had that accuracy, which nobody knows beforehand. Medians over seeds; a search of ours that never
came so far counts as infinitely slow.

    python benchmarks/time_to_quality.py [--data digits mnist] [--seeds 5] [--first-seed 0] [--curves FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import optuna
import torch
from torch import nn

import ravine
from _machine import machine
from ravine.data import Data, MemorySplit, load
from ravine.search import Choice, Log, Space, Uniform

MNIST = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
TRIALS, HIDDEN, BATCH = 64, (64, 64), 64
EPOCHS = {"digits": 30, "mnist": 15}
TARGETS = {"digits": 5, "mnist": 3}
SPACE: Space = {
    "lr": Log(1e-4, 0.3),
    "weight_decay": Log(1e-6, 1e-1),
    "dropout": Uniform(0.0, 0.5),
    "optimizer": Choice(["adamw", "sgd"]),
}

Curve = list[tuple[float, float]]
"""(seconds since the call, validation accuracy) whenever one was measured."""


def small(name: str) -> Data:
    """scikit-learn's digits, or the first 10,000 training images of MNIST with 2,000 to validate on."""
    if name == "digits":
        return load("digits", seed=0)
    data = load(str(MNIST), seed=0)
    train, validation = (
        MemorySplit(*split.batch(torch.arange(count)))
        for split, count in ((data.train, 10_000), (data.validation, 2_000))
    )
    return dataclasses.replace(data, train=train, validation=validation)


def network(data: Data, dropout: float) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    width = math.prod(data.input_shape)
    for hidden in HIDDEN:
        layers += [nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout)]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, data.outputs))


def peer(
    data: Data, epochs: int, seed: int, sampler: optuna.samplers.BaseSampler, pruner: optuna.pruners.BasePruner
) -> Curve:
    """An Optuna study around a hand-written loop."""
    x, y = data.train.batch(torch.arange(len(data.train)))
    held, wanted = data.validation.batch(torch.arange(len(data.validation)))
    curve: Curve = []
    start = time.perf_counter()

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-4, 0.3, log=True)
        decay = trial.suggest_float("weight_decay", 1e-6, 1e-1, log=True)
        dropout = trial.suggest_float("dropout", 0.0, 0.5)
        kind = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
        torch.manual_seed(1000 * seed + trial.number)
        model = network(data, dropout)
        optimizer: torch.optim.Optimizer = (
            torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=decay)
            if kind == "adamw"
            else torch.optim.SGD(model.parameters(), lr=lr, weight_decay=decay, momentum=0.9, nesterov=True)
        )
        best = 0.0
        for epoch in range(epochs):
            model.train()
            for rows in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                accuracy = float((model(held).argmax(1) == wanted).float().mean())
            best = max(best, accuracy)
            curve.append((time.perf_counter() - start, accuracy))
            trial.report(accuracy, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return best

    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
    study.optimize(objective, n_trials=TRIALS)
    curve.append((time.perf_counter() - start, curve[-1][1]))
    return curve


def ours(data: Data, epochs: int, seed: int) -> Curve:
    curve: Curve = []
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        ravine.run_search(
            "mlp",
            data,
            settings={"hidden": list(HIDDEN)},
            space=SPACE,
            trials=TRIALS,
            epochs=epochs,
            batch_size=BATCH,
            seed=seed,
            out=Path(place) / "run",
            on_epoch=lambda row: curve.append((time.perf_counter() - start, row["validation_metric"])),
        )
    curve.append((time.perf_counter() - start, curve[-1][1]))
    return curve


def reached(curve: Curve, accuracy: float) -> float:
    """Seconds until it was first at least so high; inf: never."""
    return next((seconds for seconds, value in curve if value >= accuracy - 1e-9), math.inf)


class Pair(NamedTuple):
    best: float  # of the peer
    whole: float  # seconds of the peer's whole search
    first: float  # seconds until the peer had its best
    ours: float  # seconds until we had it


def compare(theirs: Curve, own: Curve) -> Pair:
    best = max(value for _, value in theirs)
    return Pair(best, theirs[-1][0], reached(theirs, best), reached(own, best))


PEERS: dict[str, Callable[[Data, int, int], Curve]] = {
    "TPE + MedianPruner": lambda data, epochs, seed: peer(
        data, epochs, seed, optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner()
    ),
    "random, no pruning": lambda data, epochs, seed: peer(
        data, epochs, seed, optuna.samplers.RandomSampler(seed=seed), optuna.pruners.NopPruner()
    ),
}


def so_far(curve: Curve) -> Curve:
    """The curve of the best so far: only its rises, and its end."""
    rises, best = [], -math.inf
    for seconds, value in [*curve, (curve[-1][0], math.inf)]:
        if value > best:
            rises.append((round(seconds, 3), round(best if math.isinf(value) else value, 4)))
            best = value
    return rises


def told(curve: Curve) -> str:
    return " ".join(f"{value:.4f}@{seconds:.2f}s" for seconds, value in so_far(curve))


def report(name: str, seeds: range, keep: dict[str, Curve]) -> None:
    data, epochs = small(name), EPOCHS[name]
    print(
        f"{name}: {len(data.train):,} rows to train on, {len(data.validation):,} to validate; {TRIALS} trials of {epochs} "
        f"epochs, batch {BATCH}, n = {len(seeds)} seeds"
    )
    pairs: dict[str, list[Pair]] = {peer_name: [] for peer_name in PEERS}
    for seed in seeds:
        own = ours(data, epochs, seed)
        keep[f"{name} {seed} ravine"] = so_far(own)
        print(f"  seed {seed}\n    ravine: {told(own)}")
        for peer_name, search in PEERS.items():
            theirs = search(data, epochs, seed)
            keep[f"{name} {seed} {peer_name}"] = so_far(theirs)
            pair = compare(theirs, own)
            pairs[peer_name].append(pair)
            print(f"    {peer_name}: {told(theirs)}")
            print(
                f"      best {pair.best:.4f}: whole {pair.whole:.1f} s, first {pair.first:.1f} s, ravine {pair.ours:.2f} s",
                flush=True,
            )
    for peer_name, found in pairs.items():
        whole, first = ([getattr(pair, what) / pair.ours for pair in found] for what in ("whole", "first"))
        print(
            f"  against {peer_name}: {spread(whole)} times as fast as its whole search, {spread(first)} as it had its best; "
            f"not reached {sum(math.isinf(pair.ours) for pair in found)} of {len(seeds)}; to reach: {TARGETS[name]}",
            flush=True,
        )


def spread(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--curves", type=Path, help="write every curve of best so far to this JSON file")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(machine())
    keep: dict[str, Curve] = {}
    for name in args.data:
        report(name, range(args.first_seed, args.first_seed + args.seeds), keep)
    if args.curves:
        args.curves.write_text(json.dumps(keep))


if __name__ == "__main__":
    main()

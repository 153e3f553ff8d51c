"""Claim: one configuration through Ravine's loop costs at most 1.05 times a hand-written PyTorch loop.

Both train an MLP 784-256-256-10 at batch 128 with AdamW, the same schedule and the same number of steps on the
same in-memory data (random, as only time is measured), turn and turn about in one process. The hand-written
loop is what a person would write: an nn.Sequential without dropout, torch.optim.AdamW as it comes, zero_grad,
backward, step, and the loss kept. Ravine's is what `ravine train` runs; it also records the gradient norm and the
update-to-weight ratio of every step.

    python benchmarks/loop_overhead.py [--steps 400] [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _machine import machine
from ravine.data import Data, from_arrays
from ravine.models import Model, mlp
from ravine.randomness import permutation
from ravine.training import Run, Setting

BATCH, EXAMPLES, SHAPE = 128, 20_000, (1, 28, 28)


def plain_model() -> nn.Module:
    """The same network as a person writes it."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def by_hand(model: nn.Module, x: Tensor, y: Tensor, steps: int, setting: Setting) -> float:
    """Seconds that the plain loop takes."""
    weights = [p for p in model.parameters() if p.ndim >= 2]
    rest = [p for p in model.parameters() if p.ndim < 2]
    groups = [{"params": weights, "weight_decay": setting.weight_decay}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=setting.lr)
    schedule = setting.shape()
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(min(step, steps - 1) / steps))
    model.train()
    losses, per_epoch = [], len(x) // BATCH
    start = time.perf_counter()
    for step in range(steps):
        epoch, position = divmod(step, per_epoch)
        if position == 0:
            order = permutation(len(x), 0, "order", epoch)
        index = order[position * BATCH : (position + 1) * BATCH]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x[index]), y[index])
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.detach())
    return time.perf_counter() - start


def by_ravine(data: Data, model: Model, steps: int, setting: Setting) -> tuple[float, Run]:
    """Seconds that Ravine's loop takes, its choice of threads on the first batch included."""
    run = Run(data, model, [setting], steps=steps)
    start = time.perf_counter()
    run.advance(steps)
    return time.perf_counter() - start, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    make = torch.Generator().manual_seed(0)
    x = torch.rand(EXAMPLES, *SHAPE, generator=make)
    y = torch.randint(0, 10, (EXAMPLES,), generator=make)
    data = from_arrays(x, y, task="classification")
    model = Model("mlp", mlp, SHAPE, 10, {"hidden": [256, 256]})
    setting = Setting(lr=1e-3, weight_decay=0.01, batch_size=BATCH)
    train = data.train.batch(torch.arange(len(data.train)))
    ratios, hand, ours = [], [], []
    for turn in range(args.rounds + 1):
        seconds = by_hand(plain_model(), *train, args.steps, setting)
        taken, run = by_ravine(data, model, args.steps, setting)
        if turn:  # the first round warms up
            hand.append(1e3 * seconds / args.steps)
            ours.append(1e3 * taken / args.steps)
            ratios.append(taken / seconds)
    print(machine())
    print(f"n = {args.rounds} rounds of {args.steps} steps, MLP 784-256-256-10, batch {BATCH}")
    print(f"by hand: {statistics.median(hand):.3f} ms a step ({min(hand):.3f} to {max(hand):.3f})")
    print(
        f"ravine:  {statistics.median(ours):.3f} ms a step ({min(ours):.3f} to {max(ours):.3f}), threads {run.population.choice.threads or 'all'}"
    )
    print(f"ratio:   {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f}); to reach: <= 1.05")


if __name__ == "__main__":
    main()

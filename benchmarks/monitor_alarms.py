"""Claim: a `ravine.diagnosis.Monitor` names the mistakes that people make in their loops, and none where there is none.

The healthy trainings of tests/faults run as a hand-written loop under a monitor at its default rate; then ten mistakes are
made in each base task that they fit. Told for each mistake: n loops; how often it was named first, as an alarm, and at all;
over the healthy loops the false alarms, and the extremes of what the thresholds of `ravine.diagnosis.loops` compare.

    python benchmarks/monitor_alarms.py [--steps 600]
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.faults.healthy import healthy
from tests.faults.tasks import TASKS

from _machine import machine
from ravine.diagnosis import Case, Finding, Monitor
from ravine.diagnosis.watched import Watched
from ravine.randomness import seeded


@dataclass
class Loop:
    """A hand-written loop over a case, and the places in which a person goes wrong."""

    case: Case
    model: nn.Module
    optimizer: torch.optim.Optimizer
    clear: bool = True
    evaluating: bool = False
    loss: Callable[[Tensor, Tensor], Tensor] = field(init=False)

    def __post_init__(self) -> None:
        self.loss = self.case.loss_of

    @classmethod
    def over(cls, case: Case) -> Loop:
        model = case.build()
        return cls(case, model, case.optimizer(model))

    def run(self, steps: int) -> tuple[list[Finding], Watched]:
        self.model.train(not self.evaluating)
        with Monitor(self.model, self.optimizer) as monitor, seeded(0, "loop"):
            for x, y in batches(self.case, steps):
                if self.clear:
                    self.optimizer.zero_grad()
                loss = self.loss(self.model(x), y)
                with monitor.step(loss):
                    loss.backward()
                    self.optimizer.step()
            return monitor.findings(), monitor._watched


def batches(case: Case, most: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The training rows in batches, epoch after epoch, at most so many batches."""
    rows = min(case.batch_size, len(case.x))
    parts = [part for epoch in range(case.epochs) for part in case.rows(epoch).split(rows) if len(part) == rows]
    for part in parts[:most]:
        yield case.x[part], case.y[part]


def forgotten_zero_grad(loop: Loop) -> None:
    loop.clear = False


def replaced_layer(loop: Loop) -> None:
    """The last layer is made anew after the optimizer."""
    parent, name, layer = last_linear(loop.model)
    setattr(parent, name, nn.Linear(layer.in_features, layer.out_features))


def evaluation_mode(loop: Loop) -> None:
    loop.evaluating = True


def two_softmaxes(loop: Loop) -> None:
    plain = loop.loss
    loop.loss = lambda out, y: plain(out.softmax(1), y)


def summed(loop: Loop) -> None:
    """The loss added up over batches of 128."""
    loop.case = loop.case.but(batch_size=128)
    loss = nn.CrossEntropyLoss(reduction="sum") if loop.case.task == "classification" else nn.MSELoss(reduction="sum")
    loop.loss = lambda out, y: loss(out.reshape(y.shape) if out.numel() == y.numel() else out, y)


def negated(loop: Loop) -> None:
    plain = loop.loss
    loop.loss = lambda out, y: -plain(out, y)


def steep(loop: Loop) -> None:
    """The rate a thousand times too high."""
    for group in loop.optimizer.param_groups:
        group["lr"] *= 1000


def cut(loop: Loop) -> None:
    """The output of the first layer is detached."""
    first = next(module for module in loop.model.modules() if isinstance(module, nn.Linear | nn.Conv2d))
    first.register_forward_hook(lambda _module, _given, out: out.detach())


def spoilt_input(loop: Loop) -> None:
    x = loop.case.x.clone()
    x.view(len(x), -1)[::17, 0] = math.nan
    loop.case = loop.case.but(x=x)


def dead(loop: Loop) -> None:
    """The biases of the hidden layers far below zero."""
    layers = [module for module in loop.model.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers[:-1]:
        nn.init.constant_(layer.bias, -50.0)


def last_linear(model: nn.Module) -> tuple[nn.Module, str, nn.Linear]:
    found = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    name, layer = found[-1]
    parent, _, own = name.rpartition(".")
    return model.get_submodule(parent), own, layer


def always(_case: Case) -> bool:
    return True


def classifying(case: Case) -> bool:
    return case.loss == "cross_entropy"


def changing(case: Case) -> bool:
    """Whether training and evaluation differ, without which the mode is of no account."""
    return any(isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d | nn.Dropout) for m in case.build().modules())


def rectified(case: Case) -> bool:
    """Whether units can be dead: ReLU, and no normalization that takes a bias away again."""
    kinds = [type(m) for m in case.build().modules()]
    return nn.ReLU in kinds and not changing(case)


MISTAKES: dict[str, tuple[str, Callable[[Loop], None], Callable[[Case], bool]]] = {
    "zero_grad forgotten": ("gradients-not-cleared", forgotten_zero_grad, always),
    "optimizer built before a layer was replaced": ("stale-or-foreign-parameters", replaced_layer, always),
    "model left in evaluation mode": ("train-eval-mismatch", evaluation_mode, changing),
    "softmax before the loss": ("softmax-before-loss", two_softmaxes, classifying),
    "loss summed over 128 rows": ("lr-too-high", summed, always),
    "minus before the loss": ("gradient-ascent", negated, always),
    "rate a thousand times too high": ("lr-too-high", steep, always),
    "first layer detached": ("frozen-parameters", cut, always),
    "NaN in the input": ("nan-input", spoilt_input, always),
    "hidden biases at -50": ("dead-units", dead, rectified),
}


def told_of_healthy(steps: int) -> None:
    alarms, seen = [], []
    for name, case in healthy():
        found, watched = Loop.over(case).run(steps)
        seen.append(watched)
        alarms += [f"{name}: {one.fault} {one.confidence:.2f}" for one in found if one.alarm]
    print(f"healthy loops: n = {len(seen)}, with an alarm {len(alarms)} {alarms}")
    long = [one for one in seen if len(one.losses) >= 20]
    ends = [statistics.median(one.losses[-10:]) / one.losses[0] for one in long if one.losses[0] > 0]
    creeps = [statistics.median(one.losses[-10:]) / statistics.median(one.losses[:5]) for one in long]
    moves = [max(sight.move for sight in one.sights[:5]) for one in seen]
    dead = [max([0.0, *one.sights[-1].dead.values()]) for one in seen]
    for what, values in (
        ("loss at the end over the first", ends),
        ("... over the first five", creeps),
        ("largest of the first five updates over the parameters", moves),
        ("share of a layer's units that are 0 on a whole batch", dead),
    ):
        print(f"  {what}: median {statistics.median(values):.3g}, largest {max(values):.3g}")


def told_of_mistakes(steps: int) -> None:
    print(f"  {'mistake':46s} {'n':>3s} {'first':>6s} {'named':>6s}  not first in")
    count = right = 0
    for mistake, (fault, plant, fits) in MISTAKES.items():
        first, named, missed = 0, 0, []
        cases = [(name, case) for name, task in TASKS.items() if fits(case := task.make())]
        for name, case in cases:
            loop = Loop.over(case)
            with seeded(0, "mistake"):
                plant(loop)
            found, _ = loop.run(steps)
            faults = [one.fault for one in found]
            is_first = bool(found) and found[0].alarm and faults[0] == fault
            first, named = first + is_first, named + (fault in faults)
            if not is_first:
                missed.append(
                    f"{name} ({', '.join(f'{one.fault} {one.confidence:.2f}' for one in found) or 'nothing'})"
                )
        count, right = count + len(cases), right + first
        print(
            f"  {mistake:46s} {len(cases):3d} {first / len(cases):6.2f} {named / len(cases):6.2f}  {'; '.join(missed)}"
        )
    print(f"n = {count} loops with a mistake: named first, as an alarm, in {right / count:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600, help="the longest loop")
    args = parser.parse_args()
    print(machine())
    told_of_healthy(args.steps)
    told_of_mistakes(args.steps)


if __name__ == "__main__":
    main()

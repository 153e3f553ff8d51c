"""A training rehearsed: steps of a person's own loop taken on copies of the model and its optimizer.

Frameworks keep the loss in a method of their own, so there is no factory to call and no outputs to look at: what is known is
how to get a loss of a model and a batch. That is enough to try rates and to learn a few batches by heart. The model, its
optimizer, its loader and every random state are left bit for bit as they were.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ravine.diagnosis import Monitor
from ravine.engines.from_torch import needs_closure
from ravine.errors import ModelError
from ravine.randomness import derive

__all__ = ["Attempt", "Clip", "Rehearsal", "undisturbed"]

Clip = Callable[[Sequence[Tensor]], object]
"""What is done to the gradients of these parameters before a step, such as `torch.nn.utils.clip_grad_norm_`."""

LOST = 20.0
"""A loss of so many times the first one has left for good."""


@dataclass(frozen=True, eq=False)
class Rehearsal:
    """What a step is: of which model, by which optimizer, on which batches, with which loss.

    model, optimizer: as the training will begin with them; copies are trained. batches: one entry for a step, a list of the
    batches whose gradients it adds up. loss_of: the mean loss of a model on a batch, a scalar with a graph. clip: see `Clip`.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Sequence[Sequence[Any]]
    loss_of: Callable[[nn.Module, Any], Tensor]
    clip: Clip | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """The optimizer's, in small letters."""
        return type(self.optimizer).__name__.lower()

    @property
    def lr(self) -> float:
        """The rate that training will begin its schedule from: of several groups the largest."""
        return max(_peak(group) for group in self.optimizer.param_groups)

    def still(self) -> nn.Module:
        """A copy of the model in evaluation mode, not to be trained."""
        return copy.deepcopy(self.model).eval()

    def begin(self, lr: float) -> Attempt:
        """Copies of the model and its optimizer, at a constant rate; groups keep their ratios. In training mode as given."""
        model, optimizer = copied(self.model, self.optimizer)
        highest = self.lr
        for group in optimizer.param_groups:
            share = _peak(group) / highest if highest else 1.0
            _set_rate(group, lr * share)
        return Attempt(self, model, optimizer)

    def begin_plainly(self, lr: float) -> Attempt:
        """A copy under AdamW without decay, its dropout layers off: what is asked is whether it can learn at all."""
        model = copy.deepcopy(self.model)
        for module in model.modules():
            if isinstance(module, nn.modules.dropout._DropoutNd):
                module.eval()
        wanting = [p for p in model.parameters() if p.requires_grad]
        if not wanting:
            raise ModelError("no parameter of the model has requires_grad=True: nothing in it can be trained.")
        return Attempt(self, model, torch.optim.AdamW(wanting, lr=lr, weight_decay=0.0))


@dataclass(eq=False)
class Attempt:
    """A rehearsal under way."""

    of: Rehearsal
    model: nn.Module
    optimizer: torch.optim.Optimizer
    losses: list[float] = field(default_factory=list)  # before each step, of its batches

    @property
    def lost(self) -> bool:
        """Has the loss left for good?"""
        return bool(self.losses) and not self.losses[-1] <= LOST * abs(self.losses[0])

    def advance(self, steps: int, *, order: Sequence[int], monitor: Monitor | None = None) -> None:
        """Take so many more steps over the batches in `order`, over and over; fewer where the loss is lost."""
        if callable(getattr(self.optimizer, "train", None)):  # one that averages on the side
            self.optimizer.train()  # type: ignore[attr-defined]
        for _ in range(steps):
            if self.lost:
                return
            place = order[len(self.losses) % len(order)]
            self.losses.append(self._step(self.of.batches[place], monitor))

    def _step(self, parts: Sequence[Any], monitor: Monitor | None) -> float:
        seen: list[float] = []

        def closure() -> Tensor:
            self.optimizer.zero_grad()
            total = torch.zeros(())
            for part in parts:
                loss = self.of.loss_of(self.model, part) / len(parts)
                if monitor is not None:
                    monitor.watch(loss)
                loss.backward()
                total = total.to(loss.device) + loss.detach()
            if self.of.clip is not None:
                self.of.clip([p for p in self.model.parameters() if p.grad is not None])
            seen.append(float(total))
            return total

        if needs_closure(self.optimizer):
            self.optimizer.step(closure)  # type: ignore[arg-type]
        else:
            closure()
            self.optimizer.step()
        return seen[0]


def copied(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The two as they are, the optimizer over the copy's parameters; hooks on the optimizer stay behind."""
    memo: dict[int, Any] = {}
    twin = copy.deepcopy(model, memo), copy.deepcopy(optimizer, memo)
    for name, value in vars(optimizer).items():  # torch copies what all optimizers have; L-BFGS has a list of its own
        if name not in vars(twin[1]) and not name.startswith("_optimizer_") and not callable(value):
            vars(twin[1])[name] = copy.deepcopy(value, memo)
    return twin


@contextmanager
def undisturbed(seed: int) -> Iterator[None]:
    """Random numbers drawn in here, Python's, NumPy's and torch's, follow from `seed`; outside nobody notices that any were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that others draw from
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices), torch.enable_grad():
            begin_again(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def begin_again(*seed: int) -> None:
    """Set every global generator; inside `undisturbed`."""
    start = derive(0, "rehearsal", *seed)
    random.seed(start)
    np.random.seed(start % 2**32)  # noqa: NPY002
    torch.manual_seed(start)


def _peak(group: dict[str, Any]) -> float:
    """The rate that a group's schedule begins from: a warm-up has set its `lr` to 0 before the first step."""
    return float(group.get("initial_lr", group["lr"]))


def _set_rate(group: dict[str, Any], lr: float) -> None:
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(lr)
    else:
        group["lr"] = lr

"""A case under the eyes of all checks: what was measured once is there for each of them, and experiments are made once.

Checks run from the cheapest to the dearest and ask for what they need; nothing is trained that nobody asks for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.forest import Forest, apart, grow
from ravine.diagnosis.scale import standardized
from ravine.diagnosis.splits import dealt_anew, leaked
from ravine.diagnosis.stepping import Stepping, first_steps
from ravine.diagnosis.tail import first_outputs
from ravine.diagnosis.trace import Trace, layers_of, outputs, train
from ravine.diagnosis.worth import improvement
from ravine.errors import first_line
from ravine.randomness import seeded

__all__ = ["Look", "Start", "reference_case"]

T = TypeVar("T")

FIRST = 256  # rows of the first batch that is looked at
REFERENCE_STEPS = 600
FEW = 3  # looks at an experiment on its way: what it comes to is what counts


@dataclass(frozen=True)
class Start:
    """An untrained model on its first rows, in training mode unless said otherwise."""

    raised: str  # what forward, loss or backward raised, in a line; the rest is blank then
    out: Tensor  # outputs, evaluation mode, [B, ...]
    loss: float
    grads: dict[str, float]  # norm of every parameter's gradient; None of it where no gradient reached it
    unreached: tuple[str, ...]  # parameters that want a gradient and got none


class Look:
    """A case and what is known of it. deadline: time.monotonic seconds after which no experiment begins."""

    def __init__(self, case: Case, *, deadline: float = math.inf) -> None:
        self.case, self.deadline = case, deadline
        self._tried: dict[Any, Trace] = {}
        self._made: dict[str, Any] = {}
        self._remade: dict[Any, Callable[[], nn.Module]] = {}

    @cached_property
    def model(self) -> nn.Module:
        """The model as it is made, untrained; not to be changed."""
        return self.case.build()

    @cached_property
    def start(self) -> Start:
        case, model = self.case, self.case.build()
        x, y = case.x[:FIRST], case.y[:FIRST]
        blank = torch.empty(0)
        try:
            with seeded(case.seed, "start"):
                with torch.no_grad():
                    out = outputs(model.eval(), x)
                loss = case.loss_of(model.train()(x), y)
                if loss.requires_grad:
                    loss.backward()
        except Exception as error:
            return Start(first_line(error), blank, math.nan, {}, ())
        wanting = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        return Start(
            "",
            out,
            float(loss.detach()),
            {name: float(p.grad.norm()) for name, p in wanting if p.grad is not None},
            tuple(name for name, p in wanting if p.grad is None),
        )

    @cached_property
    def first_layers(self) -> Any:
        """`Layer`s of the untrained model."""
        return tuple(layers_of(self.case.build().eval(), self.case.x[:FIRST]))

    @cached_property
    def stepping(self) -> Stepping:
        """The optimizer's first steps, watched closely."""
        return first_steps(self.case)

    @cached_property
    def outputs(self) -> Tensor | None:
        """Outputs of the untrained model on its first rows, evaluation mode, also where the loss raises on them."""
        return first_outputs(self.case)

    @cached_property
    def base(self) -> Trace:
        """The training as it was given."""
        return train(self.case, deadline=self._by(0.4))

    @cached_property
    def reference(self) -> Trace:
        """What a plain network makes of the same rows: an MLP on standardized inputs, AdamW with a cosine.

        It tells a fault of the data (which it shares) from one of the model or its training (which it has not).
        """
        return train(reference_case(self.case), deadline=self._by(0.3))

    @cached_property
    def forest(self) -> Forest:
        """What a forest of random trees makes of the same rows, out of bag."""
        return grow(self.case)

    @cached_property
    def leaked(self) -> tuple[Tensor, float]:
        """Held-out rows that are training rows too, [M] bool, and the share of them that chance would give."""
        return leaked(self.case)

    @cached_property
    def apart(self) -> Any:
        """How well training and held-out rows can be told apart by their inputs, with votes: see `forest.apart`."""
        return apart(self.case.x, self.case.held_x, self.case.seed)

    @cached_property
    def standardized(self) -> Trace:
        """The case trained on inputs with mean 0 and deviation 1 by feature."""
        x, held_x = standardized(self.case)
        return self.tried(x=x, held_x=held_x)

    @cached_property
    def dealt_anew(self) -> Trace:
        """The case trained after all its rows were dealt into training and held-out ones at random."""
        new = dealt_anew(self.case)
        return self.tried(x=new.x, y=new.y, held_x=new.held_x, held_y=new.held_y)

    def tried(self, steps: int | None = None, **changes: Any) -> Trace:
        """The case trained with something changed, for as many steps as the base run (or `steps`); each once."""
        key = (steps, *((name, _key(value)) for name, value in sorted(changes.items())))
        if key not in self._tried:
            changed = self.case.but(**changes)
            self._tried[key] = train(changed, steps=steps, deadline=self._by(0.5), marks=FEW)
        return self._tried[key]

    def remade(self, change: Callable[[nn.Module], nn.Module | None]) -> Callable[[], nn.Module]:
        """A factory of the case's model with `change` made to it, in place or by giving another one.

        For one function it is always the same factory, so `tried(make_model=look.remade(change))` is one experiment.
        """

        def make() -> nn.Module:
            model = self.case.build()
            return change(model) or model

        return self._remade.setdefault(change, make)

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What `make` gives, made at the first call under that name: for what several checks share, and the settings of
        `tried` that are functions, which it knows by which they are.
        """
        if name not in self._made:
            self._made[name] = make()
        return cast(T, self._made[name])

    def won(self, after: Trace) -> float:
        """By how much more skill an experiment ended than the base run, on the training or the held-out rows, whichever is
        more; in [0, 1], a skill below 0 counting as 0.
        """
        return max(0.0, improvement(self.base, after))

    @property
    def hurried(self) -> bool:
        """Whether there is no time left to begin an experiment."""
        return time.monotonic() > self.deadline

    def _by(self, share: float) -> float:
        """A deadline after that share of what is left."""
        now = time.monotonic()
        return now + share * max(0.0, self.deadline - now)

    @cached_property
    def reachable(self) -> float:
        """The skill on held-out rows that is known to be possible: the reference's best, or the case's own."""
        looked = [run.best_held().held.skill for run in (self.reference, self.base) if run.marks]
        return max([0.0, *(skill for skill in looked if math.isfinite(skill))])

    @cached_property
    def fitted(self) -> float:
        """The skill on training rows that the reference came to; 0 where the targets let it not begin."""
        return self.reference.train.skill if self.reference.marks else 0.0

    @cached_property
    def shortfall(self) -> float:
        """How much of the skill that is reachable on held-out rows the run as given has missed, in [0, 1]: 0 is none."""
        if not self.base.finite:
            return 1.0
        mine, best = self.base.held.skill, self.reachable
        return min(1.0, max(0.0, best - max(mine, 0.0)))

    @cached_property
    def under(self) -> float:
        """Likewise on the training rows, against the reference."""
        if not self.base.finite:
            return 1.0
        return min(1.0, max(0.0, max(self.fitted, 0.0) - max(self.base.train.skill, 0.0)))


def reference_case(case: Case) -> Case:
    """A plain network over the same rows, standardized by the training rows."""
    flat, held = case.x.float().flatten(1), case.held_x.float().flatten(1)
    flat, held = torch.nan_to_num(flat), torch.nan_to_num(held)
    mean, std = flat.mean(0), flat.std(0)
    std = torch.where(std > 1e-12, std, torch.ones_like(std))
    classes = case.classes
    y, held_y = (case.labels, _labels(case, case.held_y)) if case.task == "classification" else (case.y, case.held_y)
    if case.task == "regression":
        center, scale = y.reshape(len(y), -1).mean(0), y.reshape(len(y), -1).std(0).clamp_min(1e-12)
        y, held_y = (y.reshape(len(y), -1) - center) / scale, (held_y.reshape(len(held_y), -1) - center) / scale
    size = (
        y.shape[1]
        if case.task == "regression"
        else max(classes, 2, *(int(part.max()) + 1 for part in (y, held_y) if len(part)))
    )

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(flat.shape[1], 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, size))

    batch = min(64, max(8, len(flat) // 8))
    each = max(1, len(flat) // batch)
    return Case(
        make,
        (flat - mean) / std,
        y,
        (held - mean) / std,
        held_y,
        loss="cross_entropy" if case.task == "classification" else "mse",
        rule="adamw",
        lr=3e-3,
        batch_size=batch,
        epochs=max(3, -(-REFERENCE_STEPS // each)),
        weight_decay=1e-2,
        schedule="cosine",
        seed=case.seed,
    )


def _labels(case: Case, y: Tensor) -> Tensor:
    return case.but(y=y).labels


def _key(value: Any) -> Any:
    """Something to know an experiment by: tensors and functions by which they are."""
    return value if isinstance(value, str | int | float | bool | tuple | None) else id(value)

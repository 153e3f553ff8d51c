"""What is wrong with a model and its data: the diagnosis of the training that `ravine check` makes, or that has failed.

A person who gives no rate and no number of epochs has not chosen any, and the later steps of the recipe will: what is found of
settings that are ours is not told, nor what follows from it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ravine.data import Split
from ravine.diagnosis import Case, Finding, Look, case_of, check_trainable, findings_of
from ravine.diagnosis.catalogue import fault
from ravine.errors import ModelError
from ravine.randomness import permutation
from ravine.recipe.session import Session, default_batch_size
from ravine.schedules import Schedule
from ravine.training import Setting

__all__ = ["Asked", "find_faults"]

STEPS = 800
"""Of the training that is diagnosed, fewer where they would take longer than a fifth of the time."""

LEAST_STEPS = 100
MOST_EPOCHS = 100

ROWS, NUMBERS = 20_000, 20_000_000
"""More training rows are not looked at, nor rows that hold more numbers together (80 MB)."""

HELD = 2_000
TIMED = 5  # steps

LR = 1e-3

OURS = {
    "lr": ("lr-too-high", "lr-too-low", "oscillating-loss"),
    "epochs": ("too-few-epochs", "over-fitting"),
    "batch_size": ("batch-too-small", "batch-too-large"),
}
"""By setting: what is not told where a person has not chosen it."""

CERTAIN = 0.9
"""As sure as what is known by construction, without the outcome of a training."""


@dataclass(frozen=True)
class Asked:
    """The training that is diagnosed; None is ours."""

    lr: float | None = None
    optimizer: str = "adamw"
    epochs: int | None = None
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Schedule | None = None

    @classmethod
    def of(cls, setting: Setting, epochs: int) -> Asked:
        """The training of a setting. Its penalties, mixing and augmentation are left out: a fault shows without them."""
        rule = setting.rule()
        return cls(
            setting.lr,
            setting.optimizer,
            epochs,
            float(getattr(rule, "momentum", 0.0)),
            bool(getattr(rule, "nesterov", False)),
            setting.weight_decay,
            setting.shape(),
        )


def find_faults(session: Session, asked: Asked, seconds: float) -> list[Finding]:
    """The findings, the root first. seconds: after so many no experiment begins.

    Raises ModelError for a model that cannot be trained, where no finding says why.
    """
    begun = time.monotonic()
    case = _case(session, asked)
    if asked.epochs is None:
        case = _sized(case, seconds)
    look = Look(case, deadline=begun + seconds)
    if not look.start.raised:
        _ = look.base  # first of all: what time it leaves is for experiments
    found = findings_of(look)
    check_trainable(look, found)
    chosen = {
        "lr": asked.lr is not None,
        "epochs": asked.epochs is not None,
        "batch_size": session.batch_size != default_batch_size(len(session.data.train)),
    }
    hidden = [name for setting, names in OURS.items() if not chosen[setting] for name in names]
    told = without(found, hidden)
    if not look.start.raised and look.base.finite and len(look.base.losses) < case.steps:
        session.watch.note(
            f"the training that is diagnosed was cut off after {len(look.base.losses)} of {case.steps} steps by the clock: "
            "only what does not depend on its outcome is told."
        )
        return [finding for finding in told if finding.confidence >= CERTAIN]
    return told


def without(found: Sequence[Finding], hidden: Sequence[str]) -> list[Finding]:
    """The findings but those that are hidden, and but those that follow from one that is the root of all."""
    roots = [finding for finding in found[:1] if finding.fault in hidden and finding.alarm]
    following = {name for finding in roots for name in fault(finding.fault).explains}
    return [finding for finding in found if finding.fault not in (*hidden, *following)]


def _case(session: Session, asked: Asked) -> Case:
    data, model = session.data, session.model
    size = math.prod(data.input_shape)
    return case_of(
        lambda: model.build(session.seed),
        _rows(data.train, min(ROWS, max(1, NUMBERS // size)), session.seed),
        validation=_rows(data.validation, HELD, session.seed),
        loss="cross_entropy" if data.task == "classification" else "mse",
        rule=asked.optimizer,
        lr=LR if asked.lr is None else asked.lr,
        batch_size=session.batch_size,
        epochs=asked.epochs or 1,
        momentum=asked.momentum,
        nesterov=asked.nesterov,
        weight_decay=asked.weight_decay,
        schedule=asked.schedule,
        seed=session.seed,
    )


def _rows(split: Split, most: int, seed: int) -> tuple[Tensor, Tensor]:
    index = permutation(len(split), seed, "diagnosis")[:most]
    x, y = split.batch(index.to(split.y.device))
    return x.cpu(), y.cpu()


def _sized(case: Case, seconds: float) -> Case:
    """As many epochs as make `STEPS` steps or take a fifth of the seconds; fewer rows where that is less than one."""
    steps = min(STEPS, max(LEAST_STEPS, int(seconds / 5 / _pace(case))))
    if steps < case.steps_per_epoch:
        rows = steps * case.batch_size
        return case.but(x=case.x[:rows], y=case.y[:rows], epochs=1)
    return case.but(epochs=min(MOST_EPOCHS, round(steps / case.steps_per_epoch)))


def _pace(case: Case) -> float:
    """Seconds per step, from a few; a model that cannot be trained needs no time, and the diagnosis says why it cannot."""
    rows = slice(0, min(case.batch_size, len(case.x)))
    try:
        model = case.build()
        optimizer = case.optimizer(model)
        begun = time.monotonic()
        for _ in range(TIMED):
            optimizer.zero_grad()
            with torch.random.fork_rng():
                case.loss_of(model(case.x[rows]), case.y[rows]).backward()
            optimizer.step()
    except (ModelError, RuntimeError, ValueError, IndexError, TypeError):
        return 1e-9
    return max(1e-9, (time.monotonic() - begun) / TIMED)

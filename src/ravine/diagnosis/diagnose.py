"""Diagnosis of a training as it is given: all checks of the catalogue over one look at it, and their findings ranked."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ravine.diagnosis.case import Loss, case_of
from ravine.diagnosis.catalogue import CATALOGUE, Fault, fault
from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look
from ravine.diagnosis.rank import ranked
from ravine.errors import ModelError
from ravine.schedules import Schedule

__all__ = ["SECONDS", "check_trainable", "diagnose", "findings_of"]

SECONDS = 50.0
"""After so long no experiment begins any more."""

SAID = 0.2
"""A finding less sure than that is not worth a person's time."""


def diagnose(
    make_model: Callable[..., nn.Module],
    data: Any,
    *,
    loss: str | Loss,
    rule: str,
    lr: float,
    batch_size: int,
    epochs: int,
    momentum: float = 0,
    nesterov: bool = False,
    weight_decay: float = 0,
    schedule: str | Schedule | None = None,
    validation: Any = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> list[Finding]:
    """What is wrong with this training, the root first; an empty list where nothing is.

    make_model: takes nothing or (input_shape, outputs), gives an nn.Module. data: a pair (x [N, ...], y [N]) of arrays
    or tensors, or what `ravine.data.load` gives; taken as it is, nothing is standardized. loss: cross_entropy, nll, bce,
    bce_with_logits, mse, mae, or a callable (outputs, targets) -> scalar. rule: a name of `ravine.optim` in any case, or a
    callable (parameters, lr=...) that gives a torch optimizer. schedule: a name in `ravine.schedules.SCHEDULES`, stretched
    over all epochs. validation: a pair like data; a fifth of the rows is held out where it is not given.

    A finding whose confidence is over one half is an alarm. Raises InputError, one line, for what cannot be used.
    """
    settings: dict[str, Any] = {
        "loss": loss,
        "rule": rule,
        "lr": lr,
        "batch_size": batch_size,
        "epochs": epochs,
        "momentum": momentum,
        "nesterov": nesterov,
        "weight_decay": weight_decay,
        "schedule": schedule,
        "seed": seed,
    }
    case = case_of(make_model, data, validation=validation, **settings)
    look = Look(case, deadline=time.monotonic() + seconds if seconds < math.inf else math.inf)
    found = findings_of(look)
    check_trainable(look, found)
    return found


def check_trainable(look: Look, found: Sequence[Finding]) -> None:
    """Raise ModelError, one line, for a model that cannot take a step, where no alarm says why."""
    if any(finding.alarm for finding in found):
        return
    case, start = look.case, look.start
    shapes = f"inputs of shape (B, {', '.join(map(str, case.x.shape[1:]))})"
    if start.raised:
        raise ModelError(f"the model cannot be trained on {shapes}: {start.raised}")
    if not math.isfinite(start.loss):
        raise ModelError(
            f"the loss of the untrained model is {start.loss} on {shapes}: look for a logarithm, a division or an exponential "
            "in forward and in the loss."
        )
    if look.base.raised:
        raise ModelError(f"the training of the model stopped at step {len(look.base.losses) + 1}: {look.base.raised}")


def findings_of(look: Look, names: Sequence[str] = CATALOGUE) -> list[Finding]:
    """The findings of some checks over one look, ranked; those hardly to be believed left out."""
    faults = [fault(name) for name in names]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using a target size")  # torch's word for what wrong-output-size tells
        found, failed = _found(faults, look)
    for name, error in failed:
        said = f"the check for {name} was left out: it raised {type(error).__name__}: {error}"
        warnings.warn(said, RuntimeWarning, stacklevel=2)
    told = [finding for finding in found if finding.confidence >= SAID]
    return ranked(told, {one.name: one.explains for one in faults})


def _found(faults: Sequence[Fault], look: Look) -> tuple[list[Finding], list[tuple[str, Exception]]]:
    """What the checks find, and those that raised although the model does not."""
    found: list[Finding] = []
    failed: list[tuple[str, Exception]] = []
    for one in faults:
        try:
            found += one.find(look)
        except Exception as error:
            if not look.start.raised:  # else it is the model that raises, and `check_trainable` says so
                failed.append((one.name, error))
        if any(finding.confidence == 1.0 for finding in found) and (look.start.raised or not look.base.finite):
            break  # nothing can be trained: what else there may be cannot be seen
    return found, failed

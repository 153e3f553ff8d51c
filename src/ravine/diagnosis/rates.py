"""The rate, the epochs and the settings that change what a rate means, tried against each other: which of them is to blame?

A lower rate, a higher rate and more epochs cure many trainings that another setting has spoilt, so they are named only where
no setting that is odd by itself cures as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ravine.diagnosis.cures import CLOSED, Cure, cure, harmed, part, skill
from ravine.diagnosis.look import Look

__all__ = ["above", "below", "falling", "hasty", "higher", "longer", "lower", "options", "rough", "speed"]

USUAL: dict[str, tuple[float, float]] = {
    "SGD": (1e-2, 3.0),  # times 1 / (1 - momentum), the size of a step along a steady gradient
    "ScheduleFreeSGD": (1e-1, 10.0),
    "Adam": (2e-4, 1e-2),
    "AdamW": (2e-4, 1e-2),
    "NAdam": (2e-4, 1e-2),
    "RAdam": (2e-4, 1e-2),
    "Adamax": (3e-4, 2e-2),
    "RMSprop": (1e-4, 1e-2),
    "ScheduleFreeAdamW": (3e-4, 2e-2),
    "SOAP": (3e-4, 2e-2),
    "LAMB": (3e-4, 3e-2),
    "Lion": (3e-5, 3e-3),
    "Muon": (1e-3, 1e-1),
    "Adagrad": (3e-3, 2e-1),
    "Adadelta": (3e-2, 1e1),
}
"""Rates that people write for small networks: the defaults of torch and of the rules' papers and a factor of ten about them."""

STRIDES = (10.0, 100.0, 1000.0)
MORE = 10  # times the epochs, where that takes seconds
MANY = 30  # epochs after which a training is seldom just too short
PATIENCE = 8.0  # seconds that more epochs may take


def options(look: Look) -> dict[str, object]:
    """The settings of the optimizer's first group, and its class under "class"; empty where none can be made."""

    def read() -> dict[str, object]:
        try:
            optimizer = look.case.optimizer(look.model)
        except Exception:
            return {}
        kept = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
        return {"class": type(optimizer).__name__, **kept}

    return look.once("options", read)


def speed(look: Look) -> float:
    """The rate, for SGD that of a steady gradient: lr / (1 - momentum), momentum as if it were 0.99 at most."""
    found = options(look)
    momentum = found.get("momentum", 0.0)
    if found.get("class") == "SGD" and isinstance(momentum, float | int):
        return look.case.lr / (1 - min(max(0.0, float(momentum)), 0.99))
    return look.case.lr


def above(look: Look) -> float:
    """Powers of ten by which the rate is above the usual ones of its rule; below 0 within them."""
    _, high = USUAL.get(str(options(look).get("class")), (0.0, 0.0))
    return math.log10(speed(look) / high) if high else 0.0


def below(look: Look) -> float:
    """Powers of ten by which it is below them; below 0 within them."""
    low, _ = USUAL.get(str(options(look).get("class")), (0.0, 0.0))
    return math.log10(low / speed(look)) if low else 0.0


def rough(look: Look) -> bool:
    """Whether the loss of the training rows ever rose by half of what it was at a look before, or is not finite."""
    losses = [mark.train.loss for mark in look.base.marks]
    return not look.base.finite or any(b > 1.5 * min(losses[: i + 1]) for i, b in enumerate(losses[1:]))


def risen(look: Look) -> bool:
    """Whether the run ended above where it began, or nowhere."""
    first, last = look.base.marks[0].train.loss, look.base.last.train.loss
    return not look.base.finite or not last < 1.2 * first


def falling(look: Look) -> bool:
    """Whether the loss of the training rows was still falling over the last third of the steps, by 3 % at least."""
    base = look.base
    before = [mark for mark in base.marks if mark.step <= 0.7 * base.last.step]
    return base.finite and bool(before) and base.last.train.loss < 0.97 * before[-1].train.loss


def lower(look: Look) -> Cure | None:
    """The best of rates a tenth, a hundredth and so on of the given one, a thousandth or the usual ones at the furthest; None
    where a lower one cannot help.
    """

    def run() -> Cure | None:
        if not _may_be_high(look):
            return None
        furthest = max(len(STRIDES), math.ceil(above(look)) + 1)
        return _best(look, (10.0**-power for power in range(1, furthest + 1)), above(look) + 0.25)

    return look.once("lower", run)


def higher(look: Look) -> Cure | None:
    """The best of rates ten, a hundred and a thousand times the given one; None where a higher one cannot help."""
    return look.once("higher", lambda: _best(look, iter(STRIDES), 2 * below(look)) if _may_be_low(look) else None)


def longer(look: Look) -> Cure | None:
    """More epochs, with everything else as it is; None where it was not still falling."""

    def run() -> Cure | None:
        if not harmed(look) or not falling(look):
            return None
        times = int(min(MORE, max(3.0, PATIENCE / max(look.base.seconds, 1e-3))))
        epochs = look.case.epochs * times
        return cure(look, {"epochs": epochs}, f"{epochs} epochs", odd=1 - part(look.case.epochs - 1, MANY))

    return look.once("longer", run)


def hasty(look: Look) -> bool:
    """Whether too few epochs are to blame rather than too low a rate, where both cure.

    So it is for few epochs at a usual rate, if more of them reach what a higher rate does; for one or two, if they cure at all.
    """
    if below(look) > 0 or look.case.epochs > FEW:
        return False
    more, up = longer(look), higher(look)
    return (
        more is not None
        and more.works
        and (look.case.epochs <= FEWEST or up is None or not up.works or more.gain > up.gain - 0.05)
    )


FEWEST = 2
FEW = 6  # epochs: so few are seldom enough for a network trained from nothing on thousands of rows


def _may_be_high(look: Look) -> bool:
    """It went badly, and not smoothly downwards all the way."""
    if not harmed(look):
        return False
    losses = [mark.train.loss for mark in look.base.marks]
    smooth = all(b < 1.02 * a for a, b in pairwise(losses))
    return not (smooth and look.base.finite) or above(look) > 0


def _may_be_low(look: Look) -> bool:
    return harmed(look) and not risen(look) and not (rough(look) and above(look) > -0.5)


def _best(look: Look, factors: Iterator[float], odd: float) -> Cure | None:
    """Walk away from the given rate while it gets better; the best run, the lower loss deciding between near equals."""
    best: Cure | None = None
    for factor in factors:
        lr = float(np.format_float_positional(look.case.lr * factor, 3, fractional=False))
        found = cure(look, {"lr": lr}, f"lr {lr:g}", odd=max(-0.75, min(1.0, odd)), short=True)
        if found is None:
            break
        if best is None or _better(found, best):
            best = found
        elif best.closed > CLOSED:
            break  # it has passed the best one
        if best.closed > 0.97 and best.run.train.loss < 0.5 * best.run.marks[0].train.loss:
            break
    return best


def _better(one: Cure, other: Cure) -> bool:
    """By held-out skill, near equals by the loss of the training rows."""
    a, b = skill(one.run, held=True), skill(other.run, held=True)
    if abs(a - b) > 0.02 or not (one.run.finite and other.run.finite):
        return a > b or (one.run.finite and not other.run.finite)
    return one.run.train.loss < other.run.train.loss

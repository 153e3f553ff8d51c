"""What trying another setting has shown: the gain of a cure, how much of the missing skill it brings, and how sure that is.

The rules that the checks of the optimization share. A setting is to blame when changing it alone, with model and data as
they are, wins back most of the skill that is known to be possible. Letters: N examples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ravine.diagnosis.look import Look
from ravine.diagnosis.trace import Trace

__all__ = ["Cure", "believed", "cure", "harmed", "odd_elsewhere", "part", "skill"]

HARM = 0.06
"""Skill that must be missing before an experiment is worth its time. Eight healthy tasks miss at most 0.03 (n = 8)."""

POOR = 0.5  # a training skill below is looked into whatever the reference came to: it may not suit the data

NEEDED = 0.1
"""Gain of skill, on training and on held-out rows, that counts; half a standard error of the held-out skill is added, and half of
it is enough where the setting is one that hardly anybody writes. A rate within a factor of three of the best never gains so
much on the calibrating tasks (at most 0.03, n = 8)."""

CLOSED = 0.7  # share of the reachable skill at which a cure has cured
LONG = 4.0  # seconds that one experiment may take where fewer steps tell it too


@dataclass(frozen=True)
class Cure:
    """A setting changed, and the run that followed.

    change: keywords of `diagnose`. odd: how far the setting is from where it usually lies, in [-1, 1]: 0 is a usual value, 1
    one that hardly anybody writes, below 0 one that is odd on the other side.
    """

    change: Mapping[str, Any]
    said: str  # the change in words: "lr 0.003"
    before: Trace
    run: Trace
    reachable: float  # skill on held-out rows that is known to be possible
    odd: float = 0.0

    @property
    def gain(self) -> float:
        """Skill won, on training or on held-out rows, whichever is less: what is only learnt by heart does not count."""
        return min(skill(self.run, held) - skill(self.before, held) for held in (False, True))

    @property
    def closed(self) -> float:
        """How much of the reachable skill the run has, in [0, 1]."""
        return skill(self.run, held=True) / max(self.reachable, skill(self.run, held=True), 1e-9)

    @property
    def needed(self) -> float:
        return NEEDED * (1 - 0.5 * max(0.0, self.odd)) + 0.5 * self._doubt

    @property
    def _doubt(self) -> float:
        """Standard error of the skill on held-out rows, for a share of one half of them known."""
        case = self.before.case
        error = 0.5 / math.sqrt(max(1, len(case.held_x)))
        if case.task == "regression":
            return error
        labels = case.labels[case.labels >= 0]  # torch leaves rows of a negative label out of the loss
        chance = float(torch.bincount(labels).max() / len(labels)) if len(labels) else 1.0
        return error / max(1 - chance, 0.1)

    @property
    def works(self) -> bool:
        return self.gain > self.needed and self.closed > CLOSED

    @property
    def verified(self) -> str:
        metric = "accuracy" if self.run.case.task == "classification" else "r2"
        was = f"{self.before.held.metric:.2f}" if self.before.finite else "none, for the loss is not finite"
        return f"{metric} {self.run.held.metric:.2f} instead of {was} on held-out rows with {self.said}"

    @property
    def evidence(self) -> dict[str, Any]:
        return {
            "skill": _json(self.before.held.skill),
            "skill_cured": _json(self.run.held.skill),
            "reachable": round(self.reachable, 4),
            "gain": round(self.gain, 4),
        }


def skill(run: Trace, held: bool) -> float:
    """The skill a run ended with, 0 where it ended in nothing."""
    if not run.marks or not run.finite:
        return 0.0
    value = (run.held if held else run.train).skill
    return max(0.0, value) if math.isfinite(value) else 0.0


def harmed(look: Look) -> bool:
    """Whether the run went so badly that another setting is worth trying: it knows the held-out rows worse than is possible.

    Training rows that the reference learnt by heart, and this run did not, are no harm.
    """
    base = look.base
    if not base.losses or base.raised:  # the clock came before its first step, or nothing can be trained
        return False
    return not base.finite or not base.train.skill >= POOR or look.shortfall > HARM


def cure(look: Look, change: Mapping[str, Any], said: str, *, odd: float, short: bool = False) -> Cure | None:
    """The case trained with a change; None where there is no time left. short: fewer steps will do if they take long."""
    if look.hurried:
        return None
    steps = None
    if short and look.base.seconds > LONG:
        steps = min(look.case.steps, max(50, int(len(look.base.losses) * LONG / look.base.seconds)))
    run = look.tried(steps, **change)
    if not (run.losses or run.raised):  # the clock has come before its first step
        return None
    return Cure(change, said, look.base, run, look.reachable, odd)


def part(value: float, whole: float) -> float:
    """The share of `whole` that `value` is, held in [0, 1]."""
    return min(1.0, max(0.0, value / whole))


def believed(found: Cure) -> float:
    """Confidence that the changed setting is the fault.

    0.55 for a cure that just works, 0.75 for one that wins 0.4 of skill, 0.95 where the setting was odd besides; below 0.5
    where it does not work.
    """
    if not found.works:
        return 0.45 * part(found.gain, found.needed) * (1.0 if found.closed > CLOSED else 0.7)
    return 0.55 + 0.2 * part(found.gain - found.needed, 0.3) + 0.2 * found.odd


def odd_elsewhere(look: Look) -> bool:
    """Whether inputs, targets or first outputs are of an odd size: a rate that does not suit them is then no root."""
    x, out = look.case.x, look.start.out
    sizes = [_size(x)] if x.dtype.is_floating_point else []
    if look.case.task == "regression":
        sizes.append(_size(look.case.y))
    inputs = any(not 0.05 < size < 10 for size in sizes)
    return inputs or not math.isfinite(look.start.loss) or (out.numel() > 0 and not 1e-4 < _size(out) < 20)


def _size(x: torch.Tensor) -> float:
    return float(torch.nan_to_num(x.float()).square().mean().sqrt())


def _json(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None

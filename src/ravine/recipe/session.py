"""What every step of the recipe works with."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Protocol

import torch

from ravine.data import Data
from ravine.engines.memory import trial_bytes
from ravine.errors import ModelError
from ravine.models import Model
from ravine.randomness import seeded
from ravine.recipe.verdict import Verdict

__all__ = ["Session", "Silent", "Watcher", "default_batch_size"]


class Watcher(Protocol):
    """Somebody who is told how far a step is. The command line draws bars; a program may ignore it."""

    def begin(self, step: str) -> None: ...

    def advance(self, share: float, text: str = "") -> None:
        """share: part of the step that is done, in [0, 1]."""
        ...

    def end(self, verdict: Verdict) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """Nobody is watching."""

    def begin(self, step: str) -> None: ...

    def advance(self, share: float, text: str = "") -> None: ...

    def end(self, verdict: Verdict) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass
class Session:
    """One data set, one model, one seed. `pace` is learned on the way: seconds per trial and step."""

    data: Data
    model: Model
    seed: int = 0
    batch_size: int = 64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    watch: Watcher = field(default_factory=Silent)
    pace: float = math.nan

    def __post_init__(self) -> None:
        module = self.model.build(self.seed)
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
        shape = (self.batch_size, *self.data.input_shape)
        try:
            with seeded(self.seed, "memory"):
                self.trial_bytes = trial_bytes(module, torch.zeros(shape))
        except Exception as error:  # whatever the model raises: one batch of training is its last examination
            said = " ".join(str(error).split())
            raise ModelError(f"{self.model.label} cannot train on a batch of shape {shape}: {said}") from error
        self.has_dropout = self.model.has_dropout

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.data.train) // min(self.batch_size, len(self.data.train)))


def default_batch_size(examples: int) -> int:
    """128 for 20,000 examples or more, 64 from 5,000, 32 from 500, 16 below."""
    return next((size for least, size in ((20_000, 128), (5_000, 64), (500, 32)) if examples >= least), 16)


def seconds_left(deadline: float) -> float:
    """Seconds until a deadline (time.monotonic), at least 0."""
    return max(0.0, deadline - time.monotonic())

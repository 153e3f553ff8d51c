"""What every step of the recipe works with."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from ravine.data import Data
from ravine.engines import Engine
from ravine.engines.free_memory import free_memory
from ravine.engines.memory import trial_bytes
from ravine.errors import ModelError
from ravine.models import Model
from ravine.randomness import seeded
from ravine.recipe.verdict import Verdict
from ravine.search import OnRay, StudyServer, fit_trials, room_for
from ravine.search.asynchronous import Crew
from ravine.training import Kept, Saver
from ravine.training.shared import Team

__all__ = ["Session", "Silent", "Watcher", "default_batch_size"]

FREE_SHARE = {"cpu": 0.5, "cuda": 0.8}
"""Of the memory that is free, how much trials may take: the rest of a CPU's is the data's and other programs'."""


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
    """One data set, one model, one seed. `pace` is learned on the way: seconds per trial and step.

    engine: of every population. saver: writes the state of the step that runs, and has the one to go on with.
    workers: processes of this machine that a search trains in; this one alone where it is 1. cluster, crew: where it
    trains instead, and the workers there. server: of a study that is shared with others. team: the processes that train one
    setting together.
    """

    data: Data
    model: Model
    seed: int = 0
    batch_size: int = 64
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    watch: Watcher = field(default_factory=Silent)
    pace: float = math.nan
    engine: Engine = "auto"
    workers: int = 1
    cluster: OnRay | None = None
    crew: Crew | None = None
    saver: Saver = field(default_factory=Saver)
    team: Team | None = None
    server: StudyServer | None = None

    def __post_init__(self) -> None:
        module = self.model.build(self.seed)
        self.parameters = sum(p.numel() for p in module.parameters() if p.requires_grad)
        self.trial_bytes = self.bytes_of(self.model)
        self.has_dropout = self.model.has_dropout

    def bytes_of(self, model: Model) -> int:
        """What a trial of a model takes. Raises ModelError where the model cannot train on a batch of this data."""
        shape = (self.batch_size, *self.data.input_shape)
        module = model.build(self.seed)
        try:
            with seeded(self.seed, "memory"):
                return trial_bytes(module, torch.zeros(shape))
        except Exception as error:  # whatever the model raises: one batch of training is its last examination
            said = " ".join(str(error).split())
            raise ModelError(f"{model.label} cannot train on a batch of shape {shape}: {said}") from error

    def model_with(self, settings: Mapping[str, Any] | None) -> Model:
        """The model, or where a trial searches some of its settings, the one that was built with `settings` (all of them)."""
        return self.model if settings is None else dataclasses.replace(self.model, settings=dict(settings))

    def hyperparameters(self, kept: Kept) -> dict[str, Any]:
        """A trial's settings as plain values, and those of its model that are not everybody's."""
        common = self.model.settings
        own = {k: v for k, v in (kept.model_settings or {}).items() if k not in common or common[k] != v}
        return {**kept.setting.hyperparameters(), **own}

    @property
    def memory(self) -> int:
        """Bytes that the trials of a step may take together: a share of what was free when it was first asked for."""
        share = FREE_SHARE["cuda" if self.device.type == "cuda" else "cpu"]
        return int(self.saver.decided("memory", lambda: int(share * free_memory(self.device))))

    @property
    def most(self) -> int:
        """How many trials of the model may be trained at once, in one place."""
        return fit_trials(self.trial_bytes, memory=self.memory)

    @property
    def side_by_side(self) -> int:
        """How many workers on a cluster train at the same time."""
        return 1 if self.cluster is None else max(1, sum(count for count, _ in room_for(self.cluster)))

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.data.train) // min(self.batch_size, len(self.data.train)))


def default_batch_size(examples: int) -> int:
    """128 for 20,000 examples or more, 64 from 5,000, 32 from 500, 16 below."""
    return next((size for least, size in ((20_000, 128), (5_000, 64), (500, 32)) if examples >= least), 16)


def seconds_left(deadline: float) -> float:
    """Seconds until a deadline (time.monotonic), at least 0."""
    return max(0.0, deadline - time.monotonic())

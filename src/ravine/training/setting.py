"""The settings of one trial: everything about its training that is not the model or the data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from ravine.errors import SettingError, nearest
from ravine.rules import RULES, Rule
from ravine.schedules import SCHEDULES, Schedule, Warmup

__all__ = ["Setting", "has_momentum"]


@dataclass(frozen=True)
class Setting:
    """One trial. Trials that share optimizer, schedule horizon and batch size can be stacked.

    Raises SettingError for an unknown name or a number out of range.
    """

    optimizer: str = "adamw"  # a name in RULES
    lr: float = 1e-3  # peak rate
    weight_decay: float = 0.0  # as the rule means it: coupled for sgd and adam, decoupled for adamw
    momentum: float | None = None  # of a rule that has one, in [0, 1); None is its own, for sgd 0.9 in Nesterov's form
    dropout: float | None = None  # probability of dropping for every dropout layer; None leaves the model's own
    schedule: str = "cosine"  # a name in SCHEDULES
    warmup: float = 0.05  # share of training spent climbing to the peak rate
    batch_size: int = 64
    seed: int = 0  # initial weights and dropout masks
    order: int | None = None  # seed of the data order; None is `seed`. Trials with one order share batches

    def __post_init__(self) -> None:
        if self.optimizer not in RULES:
            raise SettingError(f"optimizer {self.optimizer!r} is not known; {nearest(self.optimizer, RULES)}")
        if self.schedule not in SCHEDULES:
            raise SettingError(f"schedule {self.schedule!r} is not known; {nearest(self.schedule, SCHEDULES)}")
        if not 0 < self.lr < float("inf"):
            raise SettingError(f"lr is {self.lr!r}; it must be a positive number, such as 0.001.")
        if not isinstance(self.batch_size, int) or self.batch_size < 1:
            raise SettingError(f"batch_size is {self.batch_size!r}; it must be a whole number, 1 or more.")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise SettingError(
                f"dropout is {self.dropout!r}; it is the probability of dropping and must lie in [0, 1)."
            )
        if self.momentum is not None and not has_momentum(self.optimizer):
            raise SettingError(f"{self.optimizer} has no momentum; leave it out, or write optimizer sgd.")
        self.rule()
        self.shape()

    def rule(self) -> Rule:
        """The update rule with this trial's numbers."""
        given: dict[str, Any] = {"weight_decay": self.weight_decay}
        if self.momentum is not None:
            given["momentum"] = self.momentum
        if self.optimizer == "sgd":
            momentum = given.setdefault("momentum", 0.9)
            given["nesterov"] = momentum > 0
        return RULES[self.optimizer](**given)

    def shape(self) -> Schedule:
        """The schedule, warm-up in front."""
        body = SCHEDULES[self.schedule]()
        return Warmup(body=body, share=self.warmup) if self.warmup else body

    @property
    def order_seed(self) -> int:
        return self.seed if self.order is None else self.order

    def hyperparameters(self) -> dict[str, Any]:
        """The settings as plain values, those left at None out."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


def has_momentum(optimizer: str) -> bool:
    """Whether a rule has a momentum of its own to set."""
    return any(field.name == "momentum" for field in dataclasses.fields(RULES[optimizer]))  # type: ignore[arg-type]

"""The settings of one trial: everything about its training that is not the model or the data."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ravine.engines.from_torch import PREFIX, FromTorch, torch_optimizer
from ravine.errors import SettingError, nearest
from ravine.regularization import L2, Augmentation, ElasticNet, MaxNorm, Mixing, Penalty
from ravine.rules import RULES, Rule
from ravine.schedules import SCHEDULES, Schedule, WarmRestarts, Warmup

__all__ = ["AUGMENTING", "MIXING", "OF_RULE", "Setting", "has_field", "rule_kind", "takes_decay"]

MIXING = tuple(field.name for field in dataclasses.fields(Mixing))
"""Settings that change a batch's examples and targets, each off at 0."""

AUGMENTING = tuple(field.name for field in dataclasses.fields(Augmentation))
"""Settings that change images, each off at 0."""

OF_RULE = {"momentum": "sgd", "beta1": "adamw", "beta2": "adamw"}
"""Settings that are numbers of the rule, where it has them, and a rule that does."""

_OFF = {**dict.fromkeys(("l1", "l2", "proximal", *MIXING, *AUGMENTING), 0), "init_scale": 1.0}
"""What is not worth a word, and the value at which it is not."""


@dataclass(frozen=True)
class Setting:
    """One trial. Trials of one `structure`, model and horizon of the schedule can be stacked.

    Raises SettingError for an unknown name or a number out of range.
    """

    optimizer: str = "adamw"  # a name in RULES, or one of torch.optim's: torch.Rprop
    lr: float = 1e-3  # peak rate
    weight_decay: float = 0.0  # as the rule means it: coupled for sgd and adam, decoupled for adamw
    momentum: float | None = None  # of a rule that has one, in [0, 1); None is its own, for sgd 0.9 in Nesterov's form
    beta1: float | None = None  # of a rule of Adam's kind: share of the mean kept each step, in [0, 1); None is its own
    beta2: float | None = None  # likewise, of the mean square
    init_scale: float = 1.0  # times the initial weights of two dimensions or more; 1 leaves the model's own
    dropout: float | None = None  # probability of dropping for every dropout layer; None leaves the model's own
    stochastic_depth: float | None = None  # of the last residual branch, less before it; None leaves the model's own
    l1: float = 0.0  # times the sum of |W|, added to the loss; with l2 an elastic net
    l2: float = 0.0  # times the sum of W^2, added to the loss
    proximal: bool = False  # l1 and l2 by shrinking after the step instead of by gradient: exact zeros
    max_norm: float | None = None  # longest that the incoming weights of a unit may be
    label_smoothing: float = 0.0  # share of the target spread over all classes, in [0, 1)
    mixup: float = 0.0  # alpha of Beta(alpha, alpha)
    cutmix: float = 0.0  # likewise; with mixup each batch takes one of the two
    cutout: float = 0.0  # side of the erased square as a share of the image
    crop: int = 0  # pixels of padding before a random crop
    flip: float = 0.0  # probability of mirroring left and right
    flip_vertical: float = 0.0  # and top and bottom
    translate: float = 0.0  # furthest shift as a share of the image
    rotate: float = 0.0  # furthest turn in degrees
    brightness: float = 0.0  # largest change, in units of the data
    contrast: float = 0.0  # largest change of the factor 1
    policy: float = 0.0  # magnitude of two operations drawn for each image, in [0, 1]
    schedule: str = "cosine"  # a name in SCHEDULES
    cycles: int | None = None  # of warm_restarts: so many of equal length instead of three that double
    warmup: float = 0.05  # share of training spent climbing to the peak rate
    batch_size: int = 64
    seed: int = 0  # initial weights and dropout masks
    order: int | None = None  # seed of the data order; None is `seed`. Trials with one order share batches

    def __post_init__(self) -> None:
        self._check_kinds()
        rule_kind(self.optimizer)
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
        if not 0 < self.init_scale < float("inf"):
            raise SettingError(
                f"init_scale is {self.init_scale!r}; it multiplies the initial weights and must be a positive number: "
                "write 1 to leave them as the model draws them."
            )
        for name, having in OF_RULE.items():
            if getattr(self, name) is not None and not has_field(self.optimizer, name):
                raise SettingError(f"{self.optimizer} has no {name}; leave it out, or write optimizer {having}.")
        if self.cycles is not None and self.schedule != "warm_restarts":
            raise SettingError(f"{self.schedule} has no cycles; leave them out, or write schedule warm_restarts.")
        if self.proximal and not (self.l1 or self.l2):
            raise SettingError("proximal shrinks by l1 and l2, and both are 0: write --l1 1e-5, or leave proximal out.")
        self.rule()
        self.shape()
        self.penalty()
        self.constraint()
        self.mixing()
        self.augmentation()

    def _check_kinds(self) -> None:
        """Raise SettingError for a word where a number is needed, and the reverse: settings are read from files too."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("optimizer", "schedule"):
                if not isinstance(value, str):
                    raise SettingError(f"{field.name} is {value!r}; it must be a name.")
            elif not isinstance(value, Real) and not (value is None and field.default is None):
                raise SettingError(f"{field.name} is {value!r}; it must be a number.")

    def rule(self) -> Rule:
        """The update rule with this trial's numbers."""
        numbers = {name: getattr(self, name) for name in OF_RULE}
        given: dict[str, Any] = {name: value for name, value in numbers.items() if value is not None}
        given["weight_decay"] = self.weight_decay
        if self.optimizer == "sgd":
            momentum = given.setdefault("momentum", 0.9)
            given["nesterov"] = momentum > 0
        return rule_kind(self.optimizer)(**given)

    def shape(self) -> Schedule:
        """The schedule, warm-up in front."""
        body = WarmRestarts(self.cycles, 1.0) if self.cycles is not None else SCHEDULES[self.schedule]()
        return Warmup(body=body, share=self.warmup) if self.warmup else body

    def penalty(self) -> Penalty | None:
        """What is added to the loss: an elastic net of l1 and l2."""
        if not self.l1:
            return L2(self.l2) if self.l2 else None
        return ElasticNet(self.l1, self.l2 / self.l1)

    def constraint(self) -> MaxNorm | None:
        return None if self.max_norm is None else MaxNorm(self.max_norm)

    def mixing(self) -> Mixing:
        return Mixing(**{name: getattr(self, name) for name in MIXING})

    def augmentation(self) -> Augmentation:
        return Augmentation(**{name: getattr(self, name) for name in AUGMENTING})

    @property
    def structure(self) -> tuple[Any, ...]:
        """What trials must have in common to be stacked: the rule with its choices (Nesterov's form, say), the batch
        size and the way to penalize. Numbers may differ.

        >>> Setting("sgd", momentum=0.9).structure == Setting("sgd", momentum=0.5, lr=1.0).structure
        True
        >>> Setting("sgd", momentum=0.9).structure == Setting("sgd", momentum=0.0).structure
        False
        """
        rule = self.rule()
        fields = dataclasses.fields(rule)  # type: ignore[arg-type]
        choices = [getattr(rule, field.name) for field in fields if not isinstance(field.default, float)]
        return (self.optimizer, self.batch_size, self.proximal, *choices)

    @property
    def order_seed(self) -> int:
        return self.seed if self.order is None else self.order

    def hyperparameters(self) -> dict[str, Any]:
        """The settings as plain values, those left at None and what is off left out."""
        values = dataclasses.asdict(self)
        return {key: value for key, value in values.items() if value is not None and value != _OFF.get(key)}


def has_field(optimizer: str, name: str) -> bool:
    """Whether a rule has a number of that name (one of OF_RULE) to set."""
    kind = RULES.get(optimizer, FromTorch)
    return any(field.name == name for field in dataclasses.fields(kind))  # type: ignore[arg-type]


def rule_kind(optimizer: str) -> Callable[..., Rule]:
    """What makes the rule of that name: a name in RULES, or `torch.NAME` for one of torch.optim's. SettingError for others."""
    if optimizer.startswith(PREFIX):
        return functools.partial(FromTorch, torch_optimizer(optimizer))
    if optimizer not in RULES:
        raise SettingError(
            f"optimizer {optimizer!r} is not known; {nearest(optimizer, RULES)} Of torch.optim: torch.Rprop."
        )
    return RULES[optimizer]


def takes_decay(optimizer: str) -> bool:
    """Whether the rule of that name has a weight decay to set."""
    if optimizer.startswith(PREFIX):
        return "weight_decay" in inspect.signature(torch_optimizer(optimizer)).parameters
    return True

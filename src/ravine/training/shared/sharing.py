"""How one training is shared: the options, what they are checked for, and the batch-size rule for the rate.

`batch_size` of a setting is that of an update, whatever the number of processes and of parts that it is taken in: the
same curve is trained by one process or by eight, and a run goes on with another number.

Letters: W processes, B examples of an update.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ravine.errors import SettingError, nearest
from ravine.training.setting import Setting

__all__ = ["Sharing"]

Strategy = Literal["ddp", "fsdp"]
Precision = Literal["32", "bf16"]
Rule = Literal["linear", "sqrt"]

SOURCES = {"linear": "Goyal et al. 2017", "sqrt": "Krizhevsky 2014"}


@dataclass(frozen=True)
class Sharing:
    """Options of a shared training. Raises SettingError for what cannot be used.

    strategy: ddp keeps all weights in every process, fsdp a part of them in each, for what does not fit.
    precision: bf16 runs forward and loss under autocast; weights, gradients and rule stay in float32.
    scale_lr: B grows to W times the batch size that was asked for, and the rate with it, by W or by its square root.
    """

    strategy: Strategy = "ddp"
    precision: Precision = "32"
    accumulate: int = 1  # parts in which each process takes its examples, one after the other, before an update
    clip_norm: float | None = None  # longest gradient; a longer one is scaled back
    sync_batch_norm: bool = False  # statistics of the whole batch instead of each process's part
    scale_lr: Rule | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("strategy", Strategy), ("precision", Precision), ("scale_lr", Rule)):
            value = getattr(self, name)
            if value not in get_args(kinds) and not (name == "scale_lr" and value is None):
                raise SettingError(f"{name} is {value!r}; {nearest(str(value), get_args(kinds))}")
        if not isinstance(self.accumulate, int) or self.accumulate < 1:
            raise SettingError(f"accumulate is {self.accumulate!r}; it is a number of parts, 1 or more.")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise SettingError(f"clip_norm is {self.clip_norm!r}; it is the longest gradient, positive: 1 is usual.")

    @property
    def needed(self) -> bool:
        """Does one process alone need what this asks for?"""
        return (self.strategy, self.precision, self.accumulate, self.clip_norm) != ("ddp", "32", 1, None)

    def record(self) -> dict[str, Any]:
        """What differs from the defaults."""
        pairs = ((field.name, field.default) for field in dataclasses.fields(self))
        return {name: getattr(self, name) for name, default in pairs if getattr(self, name) != default}

    def scaled(self, setting: Setting, processes: int) -> tuple[Setting, str]:
        """The setting by the rule for so many processes, and what to say of it; "" where nothing changes.

        >>> Sharing(scale_lr="linear").scaled(Setting(lr=0.01, batch_size=32), 4)[1]
        'scale-lr linear: 4 processes take 32 examples each, 128 an update; lr 0.01 becomes 0.04 (Goyal et al. 2017).'
        """
        if self.scale_lr is None or processes == 1:
            return setting, ""
        factor = processes if self.scale_lr == "linear" else math.sqrt(processes)
        batch = processes * setting.batch_size
        grown = dataclasses.replace(setting, batch_size=batch, lr=setting.lr * factor)
        return grown, (
            f"scale-lr {self.scale_lr}: {processes} processes take {setting.batch_size} examples each, {batch} an update; "
            f"lr {setting.lr:g} becomes {grown.lr:g} ({SOURCES[self.scale_lr]})."
        )

    def check(self, setting: Setting, *, batch_size: int, processes: int, average: str | None) -> None:
        """Raise SettingError where a setting cannot be trained so. batch_size: of an update."""
        parts = processes * self.accumulate
        if batch_size < parts:
            each = f" of {self.accumulate} parts each" if self.accumulate > 1 else ""
            raise SettingError(
                f"a batch of {batch_size} examples is too small for {processes} processes{each}: write --batch-size "
                f"{parts} or more, or begin fewer processes."
            )
        if self.strategy == "fsdp":
            _check_sharded(setting, average)


def _check_sharded(setting: Setting, average: str | None) -> None:
    """A process that holds a part of the weights can do what looks at each number by itself."""
    rule, why = setting.rule(), ""
    if not rule.elementwise:
        why = f"{setting.optimizer} looks at whole matrices or norms"
    elif type(rule).settled is not _plain():
        why = f"{setting.optimizer} averages its weights on the side"
    elif setting.max_norm is not None:
        why = "max_norm looks at all weights of a unit"
    elif average is not None:
        why = "an average needs all weights"
    if why:
        raise SettingError(
            f"{why}, and with strategy fsdp no process holds them: write --strategy ddp, or leave it out."
        )


def _plain() -> Any:
    from ravine.rules import Rule as Base

    return Base.settled

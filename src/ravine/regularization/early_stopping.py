"""Early stopping: training ends when a validation metric no longer improves, and the best weights come back."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from ravine.errors import ModelError, SettingError
from ravine.schedules.checks import check_choice, check_number, check_whole

__all__ = ["EarlyStopping"]

Mode = Literal["min", "max"]
PROGRESS = ("best", "best_update", "updates", "waited", "weights")


class EarlyStopping:
    """Stop once `patience` updates in a row brought no improvement.

    patience: updates without improvement until it stops, 1 or more, as in Keras and Lightning.
    least: an improvement is better than the best by more than this, in the metric's units, >= 0.
    mode: "min" when lower is better, as for a loss; "max" when higher is.
    NaN and infinite values are no improvement. Source: Prechelt 1998.
    Raises SettingError for a setting out of range.

    >>> stopping = EarlyStopping(2)
    >>> [stopping.update(loss) for loss in (1.0, 0.5, 0.6, 0.7)], stopping.best, stopping.best_update
    ([False, False, False, True], 0.5, 2)
    """

    def __init__(self, patience: int, *, least: float = 0.0, mode: Mode = "min") -> None:
        check_whole("patience", patience, 1, "patience=10")
        check_number("least", least, lambda least: 0 <= least < math.inf, "be a number, 0 or more: write least=0.001")
        check_choice("mode", mode, Mode)
        self.patience, self.least, self.mode = patience, least, mode
        self.best: float | None = None  # the best value so far
        self.best_update = 0  # the update that brought it, counted from 1; 0 before there is one
        self.updates = 0
        self.waited = 0  # updates since the last improvement
        self.weights: dict[str, Any] | None = None  # a copy of the state_dict that the best value was measured on

    def update(self, value: float, model: nn.Module | None = None) -> bool:
        """Take in one evaluation; True when training should stop now. With a model, keep a copy of the best state."""
        value = float(value)
        self.updates += 1
        self.waited += 1
        if self._improves(value):
            self.best, self.best_update, self.waited = value, self.updates, 0
            self.weights = None if model is None else _copied(model.state_dict())
        return self.waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Put the best weights and buffers into the model, in place.

        Raises SettingError when none were kept, ModelError when they are another model's.
        """
        if self.weights is None:
            raise SettingError(
                f"there is nothing to restore: of {self.updates} updates none that improved was given a model; "
                "write stopping.update(value, model)."
            )
        try:
            model.load_state_dict(_copied(self.weights))
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"give restore the model that update was given; this is another: {reason}") from error

    def state_dict(self) -> dict[str, Any]:
        """All that a loop needs to go on later, copied: two numbers, two counts, the best weights."""
        return {name: _one_copy(getattr(self, name)) for name in PROGRESS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave; patience, least and mode stay this object's own."""
        missing = [name for name in PROGRESS if name not in state]
        if missing:
            raise SettingError(f"the state lacks {', '.join(missing)}: give what EarlyStopping.state_dict() returned.")
        for name in PROGRESS:
            setattr(self, name, _one_copy(state[name]))

    def _improves(self, value: float) -> bool:
        if not math.isfinite(value) or self.best is None:
            return math.isfinite(value)
        gain = self.best - value if self.mode == "min" else value - self.best
        return gain > self.least


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    """The same names, in the same kind of dictionary with torch's version notes, over copies of the values."""
    kept = copy.copy(state)
    for name, value in state.items():
        kept[name] = value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
    return kept


def _one_copy(value: Any) -> Any:
    return _copied(value) if isinstance(value, dict) else value

"""A training as a person has it: model, data, loss and settings, taken as they are and never mended on the way.

Letters in shapes: N examples, B batch, C classes.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ravine.data import Data
from ravine.engines import own_optimizers, second_order, torch_optimizers
from ravine.engines.from_torch import PREFIX, torch_optimizer
from ravine.errors import DataError, ModelError, SettingError, first_line, nearest
from ravine.randomness import permutation, seeded
from ravine.schedules import SCHEDULES, Point, Schedule, needs_metrics, point_at
from ravine.types import Task

__all__ = ["LOSSES", "Case", "Loss", "case_of"]

Loss = Callable[[Tensor, Tensor], Tensor]


def _binary(loss: Loss) -> Loss:
    """Targets as floats of the outputs' shape, as the binary losses want them."""
    return lambda outputs, y: loss(outputs, y.to(outputs.dtype).reshape(outputs.shape))


def _regression(loss: Loss) -> Loss:
    """Outputs [B, 1] beside targets [B] are the same numbers; everything else is left to torch."""
    return lambda outputs, y: loss(
        outputs.reshape(y.shape) if outputs.numel() == y.numel() else outputs, y.to(outputs.dtype)
    )


LOSSES: Mapping[str, Loss] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "bce": _binary(F.binary_cross_entropy),
    "bce_with_logits": _binary(F.binary_cross_entropy_with_logits),
    "mse": _regression(F.mse_loss),
    "mae": _regression(F.l1_loss),
}
"""Losses by name; each takes (outputs, targets) and gives the mean over the batch."""

CLASSIFYING = ("cross_entropy", "nll", "bce", "bce_with_logits")
FACES: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    name.lower(): each
    for module in (torch_optimizers, own_optimizers, second_order)
    for name, each in vars(module).items()
    if isinstance(each, type) and issubclass(each, torch.optim.Optimizer) and each.__module__ == module.__name__
}
"""The rules as torch optimizers, by their names in small letters."""

HELD = 0.2  # share of the rows that is held out where a person gives no validation rows
MOST_HELD = 2_000
LEAST = 10  # rows without which nothing can be held out


@dataclass(frozen=True, eq=False)
class Case:
    """What is diagnosed. `but` gives the same case with something changed, which is how an experiment is made."""

    make_model: Callable[..., nn.Module]
    x: Tensor  # [N, ...]
    y: Tensor  # [N] or [N, ...]
    held_x: Tensor  # validation rows
    held_y: Tensor
    loss: str | Loss
    rule: str | Callable[..., torch.optim.Optimizer]
    lr: float
    batch_size: int
    epochs: int
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: str | Schedule | None = None
    given: bool = True  # whether the validation rows are a person's own
    seed: int = 0

    def but(self, **changes: Any) -> Case:
        return dataclasses.replace(self, **changes)

    @property
    def task(self) -> Task:
        whole = not self.y.dtype.is_floating_point and self.y.dtype != torch.bool
        return "classification" if self.loss in CLASSIFYING or whole or self.y.dtype == torch.bool else "regression"

    @property
    def classes(self) -> int:
        """C as the labels say it: the largest and one; 1 for a regression."""
        if self.task == "regression":
            return 1
        return self.y.shape[-1] if self.y.ndim > 1 and self.y.shape[-1] > 1 else int(self.y.max()) + 1

    @property
    def labels(self) -> Tensor:
        """Classes as [N] int64, from one-hot rows too."""
        if self.y.ndim > 1 and self.y.shape[-1] > 1:
            return self.y.argmax(-1)
        return self.y.reshape(len(self.y)).to(torch.int64)

    @property
    def steps_per_epoch(self) -> int:
        return max(1, len(self.x) // min(self.batch_size, len(self.x)))

    @property
    def steps(self) -> int:
        return self.epochs * self.steps_per_epoch

    def build(self) -> nn.Module:
        """A fresh model, the same every time. Raises ModelError with what the factory raised."""
        with seeded(self.seed, "initialization"):
            try:
                model = self.make_model(*self._arguments())
            except Exception as error:
                raise ModelError(f"the model cannot be made: {first_line(error)}") from error
            if not isinstance(model, nn.Module):
                raise ModelError(f"make_model gives {type(model).__name__}; it must return an nn.Module.")
            self._fill(model)
        return model

    def _fill(self, model: nn.Module) -> None:
        """Give lazy layers (nn.LazyLinear) their sizes by a first batch."""
        if not any(isinstance(p, nn.parameter.UninitializedParameter) for p in model.parameters()):
            return
        try:
            with torch.no_grad():
                model.eval()(self.x[:2])
        except Exception as error:
            raise ModelError(
                f"the model cannot take inputs of shape {tuple(self.x[:2].shape)}: {first_line(error)}"
            ) from error
        model.train()

    def _arguments(self) -> tuple[Any, ...]:
        """None, or (input_shape, outputs) for a factory that takes them."""
        try:
            inspect.signature(self.make_model).bind()
        except TypeError:
            return (tuple(self.x.shape[1:]), self.classes)
        except ValueError:  # a callable without a signature
            pass
        return ()

    def loss_of(self, outputs: Tensor, y: Tensor) -> Tensor:
        """The loss of a batch, a scalar."""
        return LOSSES[self.loss](outputs, y) if isinstance(self.loss, str) else self.loss(outputs, y)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        """The rule over all parameters of the model, frozen ones too."""
        parameters = list(model.parameters())
        if not parameters:
            raise ModelError("the model has no parameters: nothing in it can be trained.")
        if not isinstance(self.rule, str):
            return self.rule(parameters, lr=self.lr)
        options: dict[str, Any] = {"weight_decay": self.weight_decay} if self.weight_decay else {}
        if self.momentum:
            options["momentum"] = self.momentum
        if self.nesterov:
            options["nesterov"] = True
        try:
            return face(self.rule)(parameters, lr=self.lr, **options)
        except TypeError as error:
            raise SettingError(f"{self.rule} does not take {', '.join(options)}: {first_line(error)}") from error

    def factor(self, step: int, steps: int) -> float:
        """What the schedule multiplies the rate with at a step out of `steps`."""
        shape = SCHEDULES[self.schedule]() if isinstance(self.schedule, str) else self.schedule
        if shape is None or needs_metrics(shape):
            return 1.0
        point: Point = point_at(shape, step / steps)
        return point.factor

    def rows(self, epoch: int) -> Tensor:
        """The order of the rows in an epoch, [N]."""
        return permutation(len(self.x), self.seed, "order", epoch)


def face(rule: str) -> Callable[..., torch.optim.Optimizer]:
    """The torch optimizer of that name in `ravine.optim`, however its letters are written; torch.NAME is torch's own."""
    if rule.startswith(PREFIX):
        return torch_optimizer(rule)
    key = rule.lower().replace("_", "")
    if key not in FACES:
        raise SettingError(f"rule {rule!r} is not known; {nearest(rule, FACES)}")
    return FACES[key]


def case_of(make_model: Callable[..., nn.Module], data: Any, *, validation: Any = None, **settings: Any) -> Case:
    """A case of what a person gives; DataError or SettingError, one line, for what cannot be used.

    data: a pair (x, y) of arrays or tensors, or a `ravine.data.Data`. Without validation rows of its own a fifth of the
    rows, at most 2,000, is held out.
    """
    if isinstance(data, Data):
        x, y = data.train.batch(torch.arange(len(data.train)))
        validation = validation or data.validation.batch(torch.arange(len(data.validation)))
    else:
        x, y = _pair(data, "data")
    _check(settings)
    if validation is not None:
        held_x, held_y = _pair(validation, "validation")
        if held_x.shape[1:] != x.shape[1:]:
            raise DataError(
                f"validation inputs have shape {tuple(held_x.shape[1:])}, and the training ones {tuple(x.shape[1:])}: give both alike."
            )
    else:
        if len(x) < LEAST:
            raise DataError(f"data has {len(x)} rows; {LEAST} are needed, so that some can be held out.")
        order = permutation(len(x), settings.get("seed", 0), "held")
        count = min(MOST_HELD, int(HELD * len(x)))
        held, rest = order[:count], order[count:]
        x, y, held_x, held_y = x[rest], y[rest], x[held], y[held]
    return Case(make_model, x, y, held_x, held_y, given=validation is not None, **settings)


def _pair(pair: Any, what: str) -> tuple[Tensor, Tensor]:
    """Inputs as float32 (embeddings keep whole numbers), targets as whole numbers or float32."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise DataError(f"{what} is {type(pair).__name__}; it must be a pair of arrays (x, y).")
    try:
        x, y = (torch.as_tensor(part) for part in pair)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{what} cannot be made into tensors: {first_line(error)}") from error
    if x.ndim < 2 or len(x) != len(y) or len(x) < 2:
        raise DataError(
            f"{what} has inputs of shape {tuple(x.shape)} and targets of shape {tuple(y.shape)}: "
            "it needs two rows or more of inputs, one target each."
        )
    return (x.float() if x.dtype.is_floating_point or x.dtype in (torch.uint8, torch.bool) else x), (
        y.float() if y.dtype.is_floating_point else y.to(torch.int64)
    )


def _check(settings: Mapping[str, Any]) -> None:
    loss, rule, schedule = settings["loss"], settings["rule"], settings.get("schedule")
    if isinstance(loss, str) and loss not in LOSSES:
        raise SettingError(f"loss {loss!r} is not known; {nearest(loss, LOSSES)}")
    if isinstance(rule, str):
        face(rule)
    if isinstance(schedule, str) and schedule not in SCHEDULES:
        raise SettingError(f"schedule {schedule!r} is not known; {nearest(schedule, SCHEDULES)}")
    for name in ("lr", "batch_size", "epochs"):
        if not settings[name] > 0:
            raise SettingError(f"{name} is {settings[name]!r}; it must be positive.")

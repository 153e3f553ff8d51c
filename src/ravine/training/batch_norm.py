"""Batch norm under averaged weights: its statistics belong to the weights that trained, not to their average.

Letters in shapes: B batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import InputError, ModelError
from ravine.training.objective import rank
from ravine.types import Metrics

__all__ = ["Choice", "best_of", "choose_average", "has_batch_norm", "reestimate_batch_norm"]

LAYERS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)

Look = Callable[[nn.Module], Metrics]
"""What a module reaches on the validation split, such as `evaluate(module, ...)`."""


@dataclass(frozen=True, eq=False)
class Choice:
    """The best of several candidates, with what every one of them reached."""

    module: nn.Module
    kind: str  # the name of the candidate chosen
    scores: dict[str, Metrics]  # of every candidate

    def record(self) -> dict[str, Any]:
        """For a JSON file: {"chosen": name, "scores": {name: metrics}}; what is not finite is None."""
        shown = {
            name: {key: value if math.isfinite(value) else None for key, value in metrics.items()}
            for name, metrics in self.scores.items()
        }
        return {"chosen": self.kind, "scores": shown}


def has_batch_norm(module: nn.Module) -> bool:
    """Whether the module holds a batch norm that keeps running statistics.

    >>> has_batch_norm(nn.BatchNorm1d(3)), has_batch_norm(nn.BatchNorm1d(3, track_running_stats=False))
    (True, False)
    """
    return bool(_layers(module))


@torch.no_grad()
def reestimate_batch_norm(module: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set batch norm's running statistics, in place, to their mean over batches of inputs, each [B, ...].

    Every batch counts the same, as in torch.optim.swa_utils.update_bn: leave out a last one that is not full. Unlike
    there, only the batch norms are in training mode meanwhile: dropout changes the variance that a later layer
    sees, and at prediction it is off (Li et al. 2018, variance shift). Momenta and training flags are as
    before afterwards. A module without batch norm is left alone, and the batches are not looked at.

    Raises InputError when there are no batches. The statistics are then as before, as after any other error.
    """
    layers = _layers(module)
    if not layers:
        return
    device, seen = layers[0].running_mean.device, 0
    with _estimating(module, layers):
        for batch in batches:
            module(batch.to(device))
            seen += 1
        if not seen:
            raise InputError("batch norm's statistics cannot be estimated from no batches: give at least one.")


def best_of(candidates: Mapping[str, nn.Module], score: Look) -> Choice:
    """The candidate whose metrics `rank` highest; of equals the one named first. What is not finite comes last.

    Raises ModelError when there is no candidate.
    """
    if not candidates:
        raise ModelError("there is no model to choose from: give at least one.")
    scores = {name: score(module) for name, module in candidates.items()}
    kind = max(scores, key=lambda name: rank(scores[name]))  # max keeps the first of equals
    return Choice(candidates[kind], kind, scores)


def choose_average(single: nn.Module, average: nn.Module, batches: Iterable[Tensor], score: Look) -> Choice:
    """Whether an average of weights takes the place of the single best model: only where `score` ranks it higher.

    The candidates: "single"; "average", with the statistics it came with; and, where there is batch norm,
    "average_reestimated", a copy whose statistics are estimated again on `batches` of training inputs, [B, ...]
    (often better, not always). A tie goes to the earlier one. The modules' weights and buffers are left as they are.
    """
    candidates = {"single": single, "average": average}
    if has_batch_norm(average):
        candidates["average_reestimated"] = copy.deepcopy(average)
        reestimate_batch_norm(candidates["average_reestimated"], batches)
    return best_of(candidates, score)


def _layers(module: nn.Module) -> list[Any]:
    """The batch norms with running statistics."""
    return [layer for layer in module.modules() if isinstance(layer, LAYERS) and layer.running_mean is not None]


@contextmanager
def _estimating(module: nn.Module, layers: list[Any]) -> Iterator[None]:
    """Batch norms reset and in training mode with a cumulative average, all else in evaluation mode."""
    training = {one: one.training for one in module.modules()}
    momenta = [layer.momentum for layer in layers]
    before = [{name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)} for layer in layers]
    try:
        module.eval()
        for layer in layers:
            layer.train()
            layer.reset_running_stats()
            layer.momentum = None  # torch then weighs the n-th batch by 1 / n
        yield
    except BaseException:
        for layer, buffers in zip(layers, before, strict=True):
            for name, buffer in buffers.items():
                getattr(layer, name).copy_(buffer)
        raise
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for one, flag in training.items():
            one.training = flag

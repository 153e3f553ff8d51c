"""What each task minimizes, how it is measured, and which of two results is better.

Letters in shapes: K trials, N examples, B batch, C classes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ravine.engines import Loss
from ravine.types import Metrics, Task

__all__ = ["LOSSES", "headline", "losses_of", "measure", "probabilities", "rank"]


def cross_entropy(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean negative log-likelihood of the classes y [B] under logits [B, C], in nats per example."""
    return F.cross_entropy(outputs, y)


def squared_error(outputs: Tensor, y: Tensor) -> Tensor:
    """Mean squared error of outputs [B, 1] or [B] against standardized targets y [B]."""
    return F.mse_loss(outputs.reshape(y.shape), y)


LOSSES: dict[Task, Loss] = {"classification": cross_entropy, "regression": squared_error}
"""The loss of each task, of a batch."""


def losses_of(task: Task, outputs: Tensor, y: Tensor) -> Tensor:
    """Loss of K trials, outputs [K, N, ...] against shared targets y [N] -> [K]."""
    if task == "classification":
        flat = outputs.flatten(0, 1)
        return F.cross_entropy(flat, y.repeat(len(outputs)), reduction="none").view(len(outputs), -1).mean(1)
    return (outputs.reshape(len(outputs), -1) - y).square().mean(1)


def measure(task: Task, outputs: Tensor, y: Tensor, *, scale: float = 1.0) -> list[Metrics]:
    """Metrics of K trials, outputs [K, N, ...] against y [N].

    Classification takes logits: {"accuracy", "nll"}. Regression: {"rmse", "r2"}, rmse in units of the
    target, whose standard deviation in training was `scale`; r2 is against the mean of y.
    """
    losses = losses_of(task, outputs, y)
    if task == "classification":
        right = (outputs.argmax(-1) == y).float().mean(1)
        return [{"accuracy": a, "nll": n} for a, n in zip(right.tolist(), losses.tolist(), strict=True)]
    spread = float((y - y.mean()).square().mean())
    return [
        {"rmse": math.sqrt(mse) * scale, "r2": 1 - mse / spread if spread > 0 else float("nan")}
        for mse in losses.tolist()
    ]


def headline(task: Task) -> str:
    """The metric a person looks at first, larger is better: accuracy or r2."""
    return "accuracy" if task == "classification" else "r2"


def rank(metrics: Metrics) -> tuple[float, float]:
    """Larger is better: accuracy and then -nll, or -rmse. A result that is not finite comes last."""
    key = (metrics["accuracy"], -metrics["nll"]) if "accuracy" in metrics else (-metrics["rmse"], 0.0)
    return key if all(math.isfinite(part) for part in key) else (-math.inf, -math.inf)


def probabilities(task: Task, outputs: Tensor) -> Tensor:
    """What is averaged in an ensemble: class probabilities, or predictions as they are."""
    return torch.softmax(outputs, dim=-1) if task == "classification" else outputs

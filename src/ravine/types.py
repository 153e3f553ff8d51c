"""Names shared by every folder: what a hyper-parameter, a task and a set of metrics are."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

__all__ = ["Hyper", "Metrics", "Status", "Task"]

Hyper = float | Tensor
"""A float, or one value per trial: a float64 tensor that broadcasts over the parameter, [K, 1, ...]."""

Task = Literal["classification", "regression"]
"""What is predicted: a class, or a number."""

Status = Literal["pass", "warn", "fail"]
"""What a step of the recipe comes to; warn: it goes on, and something should be changed."""

Metrics = dict[str, float]
"""`{"accuracy", "nll"}` (share of 1; nats per example) or `{"rmse", "r2"}` (units of the target; share)."""

"""What a training that cannot learn looks like, whatever the reason: names that follow from many a root."""

from __future__ import annotations

__all__ = ["SYMPTOMS"]

SYMPTOMS: tuple[str, ...] = (
    "vanishing-gradient",
    "exploding-gradient",
    "saturated-units",
    "dead-units",
    "init-too-large",
    "init-too-small",
    "lr-too-high",
    "lr-too-low",
    "momentum-too-high",
    "oscillating-loss",
    "batch-too-small",
    "batch-too-large",
    "too-few-epochs",
    "decayed-too-early",
    "epsilon-too-large",
    "over-regularized",
    "over-fitting",
    "under-fitting",
    "capacity-too-small",
)
"""Told after a fault that is known for certain: it would look like one of these even where nothing else is wrong."""

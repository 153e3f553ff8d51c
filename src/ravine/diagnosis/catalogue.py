"""The catalogue: every fault that has a name, each a module of `ravine.diagnosis.faults` whose docstring is its page.

A fault's module holds `find(look)`, which yields findings of that fault alone, and may name in EXPLAINS the faults that
follow from it: they are told after it, for the root comes before its symptoms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from ravine.diagnosis.finding import Finding
from ravine.diagnosis.look import Look

__all__ = ["CATALOGUE", "GROUPS", "Fault", "fault"]

GROUPS: dict[str, tuple[str, ...]] = {
    "data": (
        "nan-input",
        "label-range",
        "constant-feature",
        "unscaled-input",
        "double-scaling",
        "target-unscaled",
        "class-imbalance",
        "leak-between-splits",
        "split-shift",
        "too-few-samples",
        "label-noise",
        "labels-unrelated",
        "broken-augmentation",
    ),
    "model": (
        "wrong-output-size",
        "softmax-before-loss",
        "bounded-output",
        "missing-nonlinearity",
        "symmetric-init",
        "init-too-large",
        "init-too-small",
        "dead-units",
        "saturated-units",
        "vanishing-gradient",
        "exploding-gradient",
        "frozen-parameters",
        "unused-parameters",
        "samples-mixed-in-batch",
        "train-eval-mismatch",
        "capacity-too-small",
    ),
    "optimization": (
        "wrong-loss",
        "gradient-ascent",
        "gradients-not-cleared",
        "stale-or-foreign-parameters",
        "lr-too-high",
        "lr-too-low",
        "momentum-too-high",
        "oscillating-loss",
        "batch-too-small",
        "batch-too-large",
        "too-few-epochs",
        "decayed-too-early",
        "epsilon-too-large",
    ),
    "regularization": ("over-regularized", "over-fitting", "under-fitting"),
}
"""Names by group."""

CATALOGUE: tuple[str, ...] = tuple(name for names in GROUPS.values() for name in names)
"""All names."""


@dataclass(frozen=True)
class Fault:
    name: str
    find: Callable[[Look], Iterator[Finding]]
    explains: tuple[str, ...]
    page: str


def fault(name: str) -> Fault:
    """The fault of that name."""
    module = import_module(f"ravine.diagnosis.faults.{name.replace('-', '_')}")
    return Fault(name, module.find, getattr(module, "EXPLAINS", ()), module.__doc__ or "")

"""K rules of one kind become one rule whose hyper-parameters hold a value per trial.

Letters in shapes: K trials.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ravine.errors import SettingError
from ravine.rules import Rule

__all__ = [
    "momentum_of",
    "one_trial",
    "per_trial",
    "stack_rules",
    "take_trials",
    "with_momentum",
    "without_decay",
]


def per_trial(values: Sequence[float], device: torch.device | None = None) -> float | Tensor:
    """One hyper-parameter of K trials: the plain float when there is one trial, else float64 [K, 1]."""
    if len(values) == 1:
        return values[0]
    return torch.tensor(values, dtype=torch.float64, device=device).unsqueeze(1)


def stack_rules(rules: Sequence[Rule], device: torch.device | None = None) -> Rule:
    """One rule for K trials. Numbers may differ between them, structure (a bool, a count, a kind) may not.

    A number stays a plain float while all trials agree on it.
    Raises SettingError when the rules are of different kinds or structures.
    """
    kinds = {type(rule) for rule in rules}
    if len(kinds) != 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise SettingError(f"a population holds one kind of rule, got {names}: give each kind a population of its own.")
    return kinds.pop()(**{f.name: _stack_field(f.name, rules, device) for f in dataclasses.fields(rules[0])})  # type: ignore[arg-type]


def _stack_field(name: str, rules: Sequence[Rule], device: torch.device | None) -> Any:
    values = [getattr(rule, name) for rule in rules]
    if all(value == values[0] for value in values):
        return values[0]
    counts = isinstance(_default(rules[0], name), int)
    if counts or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise SettingError(
            f"{name} is structure and differs between stacked trials ({values}): give each value a population of its own."
        )
    return per_trial([float(value) for value in values], device)


def _default(rule: Rule, name: str) -> Any:
    """What a field is when nothing is said; a rule's numbers are floats there, and whole numbers are structure."""
    return next(field.default for field in dataclasses.fields(rule) if field.name == name)  # type: ignore[arg-type]


def take_trials(rule: Rule, index: Tensor) -> Rule:
    """The same rule for the trials `index`, [k] int64, alone."""
    changed = {}
    for field in dataclasses.fields(rule):  # type: ignore[arg-type]
        value = getattr(rule, field.name)
        if isinstance(value, Tensor):
            changed[field.name] = value[index]
    return dataclasses.replace(rule, **changed) if changed else rule  # type: ignore[type-var]


def one_trial(rule: Rule, k: int) -> Rule:
    """The rule of trial k as it would be written alone, with floats."""
    values = {field.name: getattr(rule, field.name) for field in dataclasses.fields(rule)}  # type: ignore[arg-type]
    chosen = {name: value[k].item() for name, value in values.items() if isinstance(value, Tensor)}
    return dataclasses.replace(rule, **chosen) if chosen else rule  # type: ignore[type-var]


def momentum_of(rule: Rule) -> str | None:
    """The field that a cycle of the momentum moves: momentum, or Adam's beta1; None where a rule has neither in use."""
    for name in ("momentum", "beta1"):
        value = getattr(rule, name, None)
        if isinstance(value, Tensor) or value:  # a momentum of 0.0 is a structure without memory
            return name
    return None


def with_momentum(rule: Rule, value: float | Tensor) -> Rule:
    """The rule with another momentum, of one trial or of each; the same rule when it has none."""
    name = momentum_of(rule)
    return dataclasses.replace(rule, **{name: value}) if name else rule  # type: ignore[type-var]


def without_decay(rule: Rule) -> Rule:
    """The rule for biases and norms."""
    return dataclasses.replace(rule, weight_decay=0.0) if hasattr(rule, "weight_decay") else rule  # type: ignore[type-var]

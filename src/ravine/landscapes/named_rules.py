"""The rules of a path by name: RULES, the METHODS of second order, and the lecture's own names for three kinds of SGD."""

from __future__ import annotations

import dataclasses
from typing import Any

from ravine.errors import SettingError, nearest
from ravine.rules import METHODS, RULES, Method, Rule

__all__ = ["LECTURE", "named_rule", "rule_names"]

LECTURE: dict[str, dict[str, Any]] = {
    "gd": {},
    "momentum": {"momentum": 0.9},
    "nesterov": {"momentum": 0.9, "nesterov": True},
}
"""The settings of SGD behind each name."""


def rule_names() -> list[str]:
    """Every name that `named_rule` knows."""
    return [*LECTURE, *RULES, *METHODS]


def named_rule(name: str, **settings: Any) -> Rule | Method:
    """A rule with its settings. Raises SettingError for an unknown name or setting, with the nearest known.

    >>> named_rule("nesterov", momentum=0.5)
    SGD(momentum=0.5, dampening=0.0, weight_decay=0.0, nesterov=True)
    """
    kinds: dict[str, type[Rule] | type[Method]] = {**dict.fromkeys(LECTURE, RULES["sgd"]), **RULES, **METHODS}
    if name not in kinds:
        raise SettingError(f"there is no rule {name!r}; {nearest(name, kinds)}")
    kind = kinds[name]
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            raise SettingError(f"the rule {name} takes no {key}; {nearest(key, known)}")
    return kind(**{**LECTURE.get(name, {}), **settings})

"""The check of a setting that is a whole number: how often, how many, how large."""

from __future__ import annotations

from ravine.errors import SettingError

__all__ = ["check_count"]


def check_count(owner: str, name: str, value: object, low: int = 1) -> None:
    """Raise SettingError unless the value is an int of at least `low`; stacked trials share one such value."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise SettingError(
            f"{owner}.{name} is {value!r}; it must be a whole number, {low} or more, and the same for all stacked trials."
        )

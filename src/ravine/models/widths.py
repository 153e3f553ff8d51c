"""Widths as a person writes them: one whole number or several; and how many parameters they come to."""

from __future__ import annotations

from collections.abc import Sequence

from ravine.errors import ModelError
from ravine.limits import LAYERS, PARAMETERS

__all__ = ["check_parameters", "checked_widths"]


def checked_widths(name: str, widths: int | Sequence[int]) -> list[int]:
    """The widths as a list. Raises ModelError unless each is a whole number, 1 or more.

    >>> checked_widths("hidden", 64), checked_widths("hidden", (64, 32))
    ([64], [64, 32])
    """
    found = list(widths) if isinstance(widths, list | tuple) else [widths]
    if len(found) > LAYERS:
        raise ModelError(f"{name} holds {len(found):,} widths; {LAYERS:,} are the most.")
    for width in found:
        if not isinstance(width, int) or isinstance(width, bool) or width < 1:
            raise ModelError(
                f"{name} holds {width!r}; a width is a whole number, 1 or more: write --set {name}=128 or --set {name}=128,64."
            )
    return found  # type: ignore[return-value]


def check_parameters(name: str, count: int) -> None:
    """Raise ModelError for a network that would have more parameters than any that Ravine makes, before memory is asked for."""
    if count > PARAMETERS:
        raise ModelError(f"{name} would have {count:,} parameters; {PARAMETERS:,} are the most: make it narrower.")

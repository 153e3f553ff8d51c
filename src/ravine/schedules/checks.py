"""What a schedule may be given, checked where it enters; each refusal is one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from ravine.errors import SettingError, nearest

__all__ = [
    "check_choice",
    "check_floor",
    "check_number",
    "check_progress",
    "check_schedule",
    "check_schedules",
    "check_share",
    "check_whole",
]


def check_progress(progress: float) -> None:
    """Raise SettingError unless progress lies in [0, 1]: no schedule says anything beyond its end."""
    if not 0 <= progress <= 1:
        raise SettingError(
            f"a schedule was asked at progress {progress!r}; it must lie in [0, 1], the beginning and the end of "
            "training: write step / steps."
        )


def check_number(label: str, value: object, fits: Callable[[float], bool], needs: str) -> None:
    """Raise SettingError unless value is a number that fits; needs: what it must be, in words."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not fits(value):
        raise SettingError(f"{label} is {value!r}; it must {needs}.")


def check_whole(label: str, value: object, least: int, example: str) -> None:
    """Raise SettingError unless value is a whole number, `least` or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingError(f"{label} is {value!r}; it must be a whole number, {least} or more: write {example}.")


def check_share(label: str, value: object) -> None:
    """Raise SettingError unless value is a share of training in [0, 1)."""
    check_number(
        label,
        value,
        lambda share: 0 <= share < 1,
        "lie in [0, 1). It is a fraction of training, not a number of steps: write 0.05 for the first 5 %",
    )


def check_floor(label: str, value: object) -> None:
    """Raise SettingError unless value is a factor in [0, 1)."""
    check_number(
        label,
        value,
        lambda floor: 0 <= floor < 1,
        "lie in [0, 1). It is a fraction of the peak rate, not a rate: write 0.1 for a tenth of the peak",
    )


def check_choice(label: str, value: object, choices: object) -> None:
    """Raise SettingError unless value is one of the words of a Literal type."""
    words = get_args(choices)
    if value not in words:
        raise SettingError(f"{label} is {value!r}, which is not known; {nearest(str(value), words)}")


def check_schedule(label: str, value: object) -> None:
    """Raise SettingError unless value is a schedule, not the class of one."""
    if not callable(value) or isinstance(value, type):
        name = label.rpartition(".")[2]
        raise SettingError(f"{label} is {value!r}; it must be a schedule: write {name}=Cosine().")


def check_schedules(label: str, values: object) -> None:
    """Raise SettingError unless values is a tuple of one schedule or more."""
    if not isinstance(values, tuple) or not values:
        raise SettingError(
            f"{label} is {values!r}; it must be a tuple of schedules: write parts=(Cosine(), Plateau())."
        )
    for i, value in enumerate(values):
        if not callable(value) or isinstance(value, type):
            raise SettingError(f"{label}[{i}] is {value!r}; it must be a schedule: write Cosine(), for example.")

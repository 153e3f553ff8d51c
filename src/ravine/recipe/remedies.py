"""What to change when the curves show over- or under-fitting: settings by name, from what they are to what to try."""

from __future__ import annotations

from ravine.training import Setting
from ravine.types import Task

__all__ = ["against_over_fitting", "against_under_fitting"]

UNTRIED = {
    "mixup": "--mixup 0.2",
    "label_smoothing": "--label-smoothing 0.1",
    "flip": "--flip 0.5 (where a mirror image is of the same class)",
    "crop": "--crop 2",
    "cutout": "--cutout 0.3",
    "max_norm": "--max-norm 3",
}
"""What may help and is off, in the order in which it is named."""

HOLDING_BACK = (
    "dropout",
    "stochastic_depth",
    "weight_decay",
    "l1",
    "l2",
    "max_norm",
    "label_smoothing",
    "mixup",
    "cutmix",
    "cutout",
    "policy",
)


def against_over_fitting(setting: Setting, task: Task, *, images: bool, has_dropout: bool) -> tuple[str, ...]:
    """Stronger first, then what was not tried. has_dropout: the model has layers whose rate can be raised."""
    decay = setting.weight_decay
    more = [f"L2 (--weight-decay {10 * decay:.2g}, now {decay:.2g})" if decay else "L2 (--weight-decay 0.01)"]
    if has_dropout:
        rate = setting.dropout or 0.0
        more.append(f"dropout (--dropout {min(0.7, rate + 0.2):.2g}, now {rate:.2g})")
    untried = [text for name, text in UNTRIED.items() if not getattr(setting, name) and _fits(name, task, images)]
    search = "" if setting.mixup else "; ravine tune --space mixup searches its strength"
    return (
        f"Use more {', more '.join(more)}, more data or augmentation, or a smaller network.",
        *([f"Not tried: {', '.join(untried)}{search}."] if untried else []),
        "An average of models over-fits less than one: --ensemble independent with ravine train.",
    )


def against_under_fitting(setting: Setting) -> tuple[str, ...]:
    """What holds the model back first, then its size."""
    on = [name for name in HOLDING_BACK if getattr(setting, name)]
    held = [f"--{name.replace('_', '-')} (now {getattr(setting, name):.2g})" for name in on]
    less = (f"Use less of what holds it back: {', '.join(held)}.",) if held else ()
    return ("Try a larger network (--set hidden=512,512) or a longer budget.", *less)


def _fits(name: str, task: Task, images: bool) -> bool:
    """Whether a setting has a meaning for this data."""
    if name in ("flip", "crop", "cutout"):
        return images
    return task == "classification" if name == "label_smoothing" else True

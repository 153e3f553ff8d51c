"""What becomes of the learning rate when the batch size changes."""

from __future__ import annotations

import math
from typing import Literal

from ravine.schedules.checks import check_choice, check_number, check_whole

__all__ = ["scale_for_batch"]

Scaling = Literal["linear", "sqrt"]


def scale_for_batch(lr: float, old: int, new: int, rule: Scaling = "linear") -> float:
    """The rate for batches of `new` examples, where `lr` was right for batches of `old`.

        linear    lr * (new / old)        SGD. Goyal et al. 2017; it needs a warm-up and fails for very large batches
        sqrt      lr * sqrt(new / old)    Adam and its kin: Malladi et al. 2022. For SGD: Krizhevsky 2014, who found
                                          that linear did better

    Raises SettingError when lr is not positive and finite, a batch size is not a whole number from 1, or the rule is
    unknown.

    >>> scale_for_batch(0.1, old=256, new=1024), scale_for_batch(0.1, old=256, new=1024, rule="sqrt")
    (0.4, 0.2)
    """
    check_number("lr", lr, lambda rate: 0 < rate < math.inf, "be a positive number: write lr=0.001, for example")
    check_whole("old", old, 1, "old=256")
    check_whole("new", new, 1, "new=1024")
    check_choice("rule", rule, Scaling)
    ratio = new / old
    return lr * (math.sqrt(ratio) if rule == "sqrt" else ratio)

"""The learning rate's shape over a run. `SCHEDULES` is the only registry."""

from collections.abc import Callable

from ravine.schedules.constant import Constant
from ravine.schedules.cosine import Cosine
from ravine.schedules.linear import Linear
from ravine.schedules.schedule import Schedule, table
from ravine.schedules.step import Step
from ravine.schedules.warmup import Warmup

__all__ = ["SCHEDULES", "Constant", "Cosine", "Linear", "Schedule", "Step", "Warmup", "table"]

SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "constant": Constant,
    "cosine": Cosine,
    "linear": Linear,
    "step": Step,
}
"""Every body by name; `Warmup` stands in front of any of them."""

"""The learning rate's shape over a run. `SCHEDULES` is the only registry."""

from collections.abc import Callable

from ravine.schedules.batch_growth import BatchGrowth, batch_sizes
from ravine.schedules.bound import BoundSchedule, bind
from ravine.schedules.constant import Constant
from ravine.schedules.cosine import Cosine
from ravine.schedules.cyclical import Cyclical
from ravine.schedules.exponential import Exponential
from ravine.schedules.from_torch import Tabulated, from_torch
from ravine.schedules.inverse_sqrt import InverseSqrt
from ravine.schedules.linear import Linear
from ravine.schedules.multi_step import MultiStep
from ravine.schedules.one_cycle import OneCycle
from ravine.schedules.plateau import Plateau
from ravine.schedules.point import Evaluations, Point, factor_at, needs_metrics, point_at
from ravine.schedules.polynomial import Polynomial
from ravine.schedules.product import Product
from ravine.schedules.scale import scale_for_batch
from ravine.schedules.schedule import Schedule, table
from ravine.schedules.sequence import Sequence
from ravine.schedules.step import Step
from ravine.schedules.warm_restarts import WarmRestarts
from ravine.schedules.warmup import Warmup

__all__ = [
    "SCHEDULES",
    "BatchGrowth",
    "BoundSchedule",
    "Constant",
    "Cosine",
    "Cyclical",
    "Evaluations",
    "Exponential",
    "InverseSqrt",
    "Linear",
    "MultiStep",
    "OneCycle",
    "Plateau",
    "Point",
    "Polynomial",
    "Product",
    "Schedule",
    "Sequence",
    "Step",
    "Tabulated",
    "WarmRestarts",
    "Warmup",
    "batch_sizes",
    "bind",
    "factor_at",
    "from_torch",
    "needs_metrics",
    "point_at",
    "scale_for_batch",
    "table",
]

SCHEDULES: dict[str, Callable[[], Schedule]] = {
    "constant": Constant,
    "step": Step,
    "multi_step": MultiStep,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "linear": Linear,
    "cosine": Cosine,
    "warm_restarts": WarmRestarts,
    "inverse_sqrt": InverseSqrt,
    "cyclical": Cyclical,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}
"""Every body by name; `Warmup` stands in front of any of them."""

"""The rate swings between a low and a high."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ravine.schedules.checks import check_choice, check_number, check_progress, check_whole
from ravine.schedules.drawn import Drawn

__all__ = ["Cyclical"]

Mode = Literal["triangular", "triangular2", "exp_range"]


@dataclass(frozen=True)
class Cyclical(Drawn):
    """floor + (1 - floor) * height * triangle, where the triangle climbs from 0 to 1 and falls again, `cycles` times.

        triangular     height = 1
        triangular2    height = 1/2 ** (number of cycles done)
        exp_range      height = decay ** progress

    Source: Smith 2017, who suggests a floor of a quarter to a third. torch.optim.lr_scheduler.CyclicLR gives the length
    of a cycle in steps and gamma, what each step keeps of the height: over T steps decay = gamma ** T. Here the
    cycles fill training. torch can also swing the momentum; this one leaves it, as the paper does.

    >>> schedule = Cyclical(cycles=2, mode="triangular2", floor=0.2)
    >>> schedule(0.0), schedule(0.25), schedule(0.5), schedule(0.75)
    (0.2, 1.0, 0.2, 0.6)
    """

    cycles: int = 4  # how many, >= 1
    mode: Mode = "triangular"  # what becomes of the height
    floor: float = 0.25  # the low, in (0, 1): each cycle begins with a step at it
    rise: float = 0.5  # share of a cycle spent climbing, in (0, 1)
    decay: float = 0.1  # exp_range alone: share of the height left at the end, in (0, 1]

    def __post_init__(self) -> None:
        check_whole("Cyclical.cycles", self.cycles, 1, "cycles=4")
        check_choice("Cyclical.mode", self.mode, Mode)
        check_number(
            "Cyclical.floor",
            self.floor,
            lambda floor: 0 < floor < 1,
            "lie in (0, 1). It is a fraction of the peak rate, not a rate: write 0.25 for a quarter of the peak",
        )
        check_number(
            "Cyclical.rise",
            self.rise,
            lambda rise: 0 < rise < 1,
            "lie in (0, 1). It is a fraction of a cycle, not a number of steps: write 0.5 for the first half",
        )
        check_number(
            "Cyclical.decay",
            self.decay,
            lambda decay: 0 < decay <= 1,
            "lie in (0, 1]. It is what is left of the height at the end: write 0.1 for a tenth",
        )

    def __call__(self, progress: float) -> float:
        check_progress(progress)
        done = min(int(progress * self.cycles), self.cycles - 1)
        own = progress * self.cycles - done  # at the floor, wherever rounding puts the end of a cycle
        triangle = own / self.rise if own <= self.rise else (1 - own) / (1 - self.rise)
        heights = {"triangular": 1.0, "triangular2": 0.5**done, "exp_range": self.decay**progress}
        climb = float(heights[self.mode] * triangle)
        return self.floor * (1 - climb) + climb

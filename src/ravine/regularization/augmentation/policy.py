"""RandAugment: a few operations drawn for each image, all at one strength.

Letters in shapes: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from ravine.randomness import derive
from ravine.regularization.augmentation.affine import rotated
from ravine.regularization.augmentation.colour import brightened, contrasted
from ravine.regularization.augmentation.pixels import shifted
from ravine.regularization.draws import uniform
from ravine.regularization.images import check_images
from ravine.schedules.checks import check_number, check_whole

__all__ = ["OPERATIONS", "RandAugment"]

OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda x, strength: x,  # noqa: ARG005 - in the list of the paper: some images stay as they are
    "translate_down": lambda x, strength: shifted(x, down=(0.3 * x.shape[2] * strength).round()),
    "translate_across": lambda x, strength: shifted(x, across=(0.3 * x.shape[3] * strength).round()),
    "rotate": lambda x, strength: rotated(x, 30 * strength),
    "brightness": lambda x, strength: brightened(x, strength),
    "contrast": lambda x, strength: contrasted(x, 2**strength),
}
"""Each takes x [B, C, H, W] and a strength in [-1, 1] for each image, [B]. At strength 1: 30 % of the side to the
nearest pixel, 30 degrees, one unit of the data (a standard deviation), twice the contrast; at -1 the opposite."""


@dataclass(frozen=True)
class RandAugment:
    """For each image, `number` times over: one of OPERATIONS, each as likely, at magnitude or minus magnitude.

    x: [B, C, H, W] floating. An operation may come twice. Flips and crops are not among them: as in the paper they
    stand beside it.
    Source: Cubuk et al. 2020, with those of its operations that keep their meaning on standardized data.
    Raises SettingError unless number is whole, 1 or more, and magnitude lies in (0, 1].
    """

    number: int = 2
    magnitude: float = 0.5  # 1 is the strongest, see OPERATIONS

    def __post_init__(self) -> None:
        check_whole("RandAugment.number", self.number, 1, "number=2")
        check_number(
            "policy",
            self.magnitude,
            lambda magnitude: 0 < magnitude <= 1,
            "be a magnitude in (0, 1]: write policy=0.5, or leave policy out",
        )

    def __call__(self, x: Tensor, *, seed: int, step: int) -> Tensor:
        check_images("policy", x)
        draws = uniform((2, self.number, len(x)), derive(seed, "policy"), step, device=x.device)
        chosen = (draws[0] * len(OPERATIONS)).long()
        strength = self.magnitude * (1 - 2 * (draws[1] < 0.5).to(draws.dtype))
        for turn in range(self.number):
            x = _applied(x, chosen[turn], strength[turn])
        return x


def _applied(x: Tensor, chosen: Tensor, strength: Tensor) -> Tensor:
    """Each image through its own operation; each operation sees only the images that chose it."""
    after = x.clone()
    for number, operation in enumerate(OPERATIONS.values()):
        rows = (chosen == number).nonzero().squeeze(1)
        after[rows] = operation(x[rows], strength[rows])
    return after

"""How a raw example becomes a tensor: learned from the training split, saved as JSON beside the weights.

One class per kind of data derives from `Preprocessing`: tables.TablePreprocessing, images.ImagePreprocessing,
arrays.ArrayPreprocessing. They are plain values (pydantic models), so a saved one is read back without
running anything that is stored in it; `saved.preprocessing_from_json` does that.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

__all__ = ["Frozen", "Preprocessing", "Scale", "Target"]

Scale = Annotated[float, Field(gt=0)]
"""What a value is divided by; a standard deviation, or 1 where there is no spread."""


class Frozen(BaseModel):
    """A value that cannot change, holds finite numbers and knows no field that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Target(Frozen):
    """What the model's outputs stand for: classes by name, or a number with the scale it was trained on."""

    name: str = "target"
    classes: tuple[str, ...] = ()  # empty: regression
    mean: float = 0.0  # of the training targets, in their own units
    std: Scale = 1.0

    def restore(self, scaled: Tensor) -> Tensor:
        """Standardized targets or predictions, back in the target's own units."""
        return scaled * self.std + self.mean


class Preprocessing(Frozen):
    """What was learned from the training split, enough to prepare any further example in the same way."""

    kind: str  # table, image or array; tells saved ones apart
    target: Target

    @property
    @abstractmethod
    def input_shape(self) -> tuple[int, ...]:
        """Of one prepared example: (features,) or (channels, height, width)."""

    @abstractmethod
    def to_tensor(self, raw: Any) -> Tensor:
        """Raw examples as the model wants them, [N, *input_shape] float32. Raises DataError on anything else."""

"""A split whose inputs are prepared when they are asked for, because all of them would not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ravine.data.preprocessing import Preprocessing

if TYPE_CHECKING:
    from ravine.data.examples import Examples

__all__ = ["StreamedSplit"]


@dataclass(frozen=True, eq=False)
class StreamedSplit:
    """Rows of a set of examples, read and prepared batch by batch: the same bits a MemorySplit would hold.

    Images are decoded from the memory-mapped Arrow file that `datasets` keeps; of a table, the raw columns are
    in memory and only the prepared matrix (categories spread over columns) is not.
    """

    examples: Examples
    rows: NDArray[np.int64]
    preprocessing: Preprocessing
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        return self.examples.read(self.rows[index.cpu().numpy()], self.preprocessing), self.y[index]

"""A trained network with its preprocessing, as an estimator holds it: it answers raw rows, and is stored as plain values.

Letters in shapes: N examples, C classes.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ravine.data.arrays import ArrayPreprocessing
from ravine.models import Model, find_factory

__all__ = ["Network"]

CHUNK = 1024  # rows answered together


class Network:
    """The module, how it is made again, and what prepares its inputs.

    Answers are computed in float64, so that those of a row do not hang on the rows beside it: in float32 the last digits
    of a matrix product depend on the size of the batch. A module that cannot be turned into float64 answers in float32.
    """

    def __init__(self, module: nn.Module, model: Model, preprocessing: ArrayPreprocessing) -> None:
        self.module, self.model, self.preprocessing = module.cpu().eval(), model, preprocessing
        self._exact = _in_float64(self.module, model.input_shape)

    @torch.no_grad()
    def outputs(self, x: NDArray[Any]) -> Tensor:
        """Logits [N, C] or standardized predictions [N, 1], float64, of raw rows [N, F]."""
        prepared = self.preprocessing.prepare(x.reshape(len(x), *self.preprocessing.shape))
        dtype = next(self._exact.parameters()).dtype
        return torch.cat([self._exact(part.to(dtype)) for part in prepared.split(CHUNK)]).double()

    def __getstate__(self) -> dict[str, Any]:
        """Plain values; of a factory without a name the factory itself, which pickle finds by its own rules."""
        return {
            "weights": {name: value.numpy() for name, value in self.module.state_dict().items()},
            "model": self.model.name,
            "factory": None if self.model.name else self.model.factory,
            "settings": dict(self.model.settings),
            "input_shape": self.model.input_shape,
            "outputs": self.model.outputs,
            "preprocessing": self.preprocessing.model_dump(mode="json"),
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        model = Model(
            state["model"],
            state["factory"] or find_factory(state["model"]),
            state["input_shape"],
            state["outputs"],
            state["settings"],
        )
        module = model.build(0)
        module.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state["weights"].items()})
        self.module, self.model = module.eval(), model
        self.preprocessing = ArrayPreprocessing.model_validate(state["preprocessing"])
        self._exact = _in_float64(self.module, model.input_shape)


def _in_float64(module: nn.Module, input_shape: tuple[int, ...]) -> nn.Module:
    """A copy that computes in float64, or the module itself where that fails: its own code may insist on float32."""
    exact = copy.deepcopy(module).double()
    try:
        with torch.no_grad():
            exact(torch.zeros(2, *input_shape, dtype=torch.float64))
    except Exception:
        return module
    return exact

"""A module's graph as torch.export takes it, for any number of examples: what ONNX and PT2 files are made from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from ravine.errors import ModelError
from ravine.training.exporting.torch_words import hushed, said

__all__ = ["captured"]


def captured(module: nn.Module, example: Tensor) -> ExportedProgram:
    """The graph of a module in evaluation mode; the first dimension of `example` is free.

    Raises ModelError where there is none: a forward that asks what a tensor holds, or that one number of examples suits.
    """
    try:
        with hushed(), torch.no_grad():
            return torch.export.export(module, (example,), dynamic_shapes=({0: Dim("batch")},))
    except Exception as error:
        raise ModelError(
            f"this model has no graph that torch.export finds ({said(error)}): its forward must not branch on what a tensor "
            "holds (write torch.where), nor on the number of examples."
        ) from error

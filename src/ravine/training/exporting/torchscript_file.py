"""TorchScript: read by torch.jit.load and by LibTorch in C++. The description is an extra file.

PyTorch has declared torch.jit deprecated since 2.5 and names torch.export its successor; this format is for programs that
already read it. The module is traced: what its forward asks of a tensor in Python would be frozen into the graph, so
whatever torch's tracer warns of is refused.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.training.exporting.description import NAME
from ravine.training.exporting.torch_words import hushed, said

__all__ = ["TorchScriptFile"]


class TorchScriptFile:
    """One file, the weights within."""

    suffix = ".pt"

    def check_libraries(self) -> None:
        """It needs torch alone."""

    def written(self, module: nn.Module, example: Tensor, description: Mapping[str, Any]) -> bytes:
        content = io.BytesIO()
        try:
            with warnings.catch_warnings(record=True) as warned, torch.no_grad():
                warnings.simplefilter("always")
                traced = torch.jit.trace(module, example)
                torch.jit.save(traced, content, _extra_files={NAME: json.dumps(description)})
        except Exception as error:
            raise ModelError(f"this model cannot be traced ({said(error)}): write --format pt2.") from error
        frozen = [one.message for one in warned if one.category.__name__ == "TracerWarning"]
        if frozen:
            raise ModelError(
                f"this model cannot be traced ({said(frozen[0])}): its forward must not ask in Python what a tensor holds (write "
                "torch.where), nor for len(x) (write x.shape[0])."
            )
        return content.getvalue()

    def read(self, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
        """What answers a tensor, and the description."""
        extra = {NAME: ""}
        with hushed():
            module = torch.jit.load(io.BytesIO(content), _extra_files=extra)
        return module, json.loads(extra[NAME])

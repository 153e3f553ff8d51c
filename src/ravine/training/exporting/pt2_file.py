"""PT2, torch.export's own archive: read by torch.export.load, compiled by AOTInductor. The description is an extra file.

torch.export.load may unpickle what an archive holds: load those you have written, not a stranger's.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import ModelError
from ravine.training.exporting.captured import captured
from ravine.training.exporting.description import NAME
from ravine.training.exporting.torch_words import hushed, said

__all__ = ["Pt2File"]


class Pt2File:
    """One file, the weights within."""

    suffix = ".pt2"

    def check_libraries(self) -> None:
        """It needs torch alone."""

    def written(self, module: nn.Module, example: Tensor, description: Mapping[str, Any]) -> bytes:
        program, content = captured(module, example), io.BytesIO()
        try:
            with hushed():
                torch.export.save(program, content, extra_files={NAME: json.dumps(description)})
        except Exception as error:
            raise ModelError(f"this model cannot be written as PT2 ({said(error)}): write --format onnx.") from error
        return content.getvalue()

    def read(self, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
        """What answers a tensor, and the description."""
        extra = {NAME: ""}
        with hushed():
            module = torch.export.load(io.BytesIO(content), extra_files=extra).module()
        return module, json.loads(extra[NAME])

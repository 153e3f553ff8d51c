"""ONNX: read by ONNX Runtime, TensorRT, OpenVINO and others, in any language. The description lies in metadata_props."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ravine.errors import ModelError, SettingError
from ravine.training.exporting.captured import captured
from ravine.training.exporting.description import INPUT, NAME
from ravine.training.exporting.torch_words import hushed, said

__all__ = ["OnnxFile"]

INSTALL = "pip install 'ravine[export]', or write --format pt2."


class OnnxFile:
    """One file, the weights within."""

    suffix = ".onnx"

    def check_libraries(self) -> None:
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError as error:
            raise SettingError(
                f"an ONNX file is written and checked with {error.name}, which is not here: {INSTALL}"
            ) from error

    def written(self, module: nn.Module, example: Tensor, description: Mapping[str, Any]) -> bytes:
        program = captured(module, example)
        try:
            with hushed():
                made = torch.onnx.export(
                    program,
                    input_names=[INPUT],
                    output_names=[description["output"]["name"]],
                    dynamo=True,
                    external_data=False,
                    verbose=False,
                )
        except Exception as error:
            raise ModelError(f"this model cannot be written as ONNX ({said(error)}): write --format pt2.") from error
        assert made is not None
        model = made.model_proto
        model.metadata_props.add(key=NAME, value=json.dumps(description))
        content: bytes = model.SerializeToString()
        return content

    def read(self, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
        """What answers a tensor, by ONNX Runtime on the CPU, and the description."""
        import onnxruntime

        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        description = json.loads(session.get_modelmeta().custom_metadata_map[NAME])

        def answer(x: Tensor) -> Tensor:
            return torch.from_numpy(session.run(None, {INPUT: x.numpy()})[0])

        return answer, description

"""`export`: the best model of a run folder as one file that needs no Ravine, written only when it answers as the model does.

Letters in shapes: N examples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ravine.errors import FolderError, ModelError, SettingError, nearest
from ravine.models import Factory
from ravine.training.exporting.description import described
from ravine.training.exporting.onnx_file import OnnxFile
from ravine.training.exporting.pt2_file import Pt2File
from ravine.training.exporting.raw_model import RawModel
from ravine.training.exporting.specimens import specimens
from ravine.training.exporting.torch_words import said
from ravine.training.exporting.torchscript_file import TorchScriptFile
from ravine.training.files import write_atomically
from ravine.training.predictor import Predictor, load

__all__ = ["FORMATS", "Exported", "Format", "export"]

TOLERANCE = 1e-4
"""How far an exported answer may lie from the model's own: of a probability, or in standard deviations of the target. Another
runtime adds in another order, which in float32 was seen to cost 1e-6."""

SIZES = (1, 2, 7, 64)
"""Examples that are answered together when the file is checked; the graph is taken of another number, TAKEN_OF."""

TAKEN_OF = 3


class Format(Protocol):
    """A kind of file: how it is written and read."""

    suffix: str

    def check_libraries(self) -> None:
        """Raise SettingError where a library is missing, with what to install."""
        ...

    def written(self, module: nn.Module, example: Tensor, description: Mapping[str, Any]) -> bytes:
        """The file's content. Raises ModelError where the format cannot hold the module."""
        ...

    def read(self, content: bytes) -> tuple[Callable[[Tensor], Tensor], dict[str, Any]]:
        """By the format's own runtime: what answers a tensor, and the description."""
        ...


FORMATS: dict[str, Format] = {"onnx": OnnxFile(), "torchscript": TorchScriptFile(), "pt2": Pt2File()}
"""The kinds of file by their names."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and how near its answers are to the model's own."""

    path: Path
    format: str
    difference: float  # the largest seen, of a probability or in standard deviations of the target
    tolerance: float  # what would have been refused
    sizes: tuple[int, ...]  # examples that were answered together
    description: dict[str, Any]  # the JSON in the file

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "path": str(self.path)}


def export(
    folder: str | Path,
    *,
    format: str = "onnx",  # noqa: A002 (the word a person looks for)
    out: str | Path | None = None,
    ensemble: bool = False,
    overwrite: bool = False,
    make_model: Factory | None = None,
) -> Exported:
    """The best model of a finished run (or its ensemble) as one file, the preprocessing within.

    format: onnx, torchscript or pt2. out: the file; DIR/export/best.onnx and so on when not given.
    make_model: the factory, for a model that was made by a callable without an importable name.
    The file is read back by the format's own runtime and compared with the model on several numbers of examples, before it
    takes its name. Raises SettingError for an unknown format or a missing library, FolderError for a folder without a model or
    a file that stands there, and ModelError where the format cannot hold the model or answers otherwise.
    """
    if format not in FORMATS:
        raise SettingError(f"format {format!r} is not known; {nearest(format, FORMATS)}")
    way = FORMATS[format]
    way.check_libraries()
    path = (
        Path(out) if out is not None else Path(folder) / "export" / f"{'ensemble' if ensemble else 'best'}{way.suffix}"
    )
    _check_free(path, overwrite)
    predictor = load(folder, ensemble=ensemble, make_model=make_model)
    description = described(predictor, ensemble)
    module = RawModel(predictor.module, predictor.preprocessing, predictor.task).eval().requires_grad_(False)
    _, example = specimens(predictor.preprocessing, description, TAKEN_OF)
    content = way.written(module, example, description)
    difference = _difference(predictor, description, way, content)
    write_atomically(path, lambda partial: partial.write_bytes(content))
    return Exported(path, format, difference, TOLERANCE, SIZES, description)


def _check_free(path: Path, overwrite: bool) -> None:
    """Raise FolderError where something stands that must not be replaced."""
    if path.is_dir() or (path.exists() and not overwrite):
        kind = "a folder: name a file" if path.is_dir() else "written already: write --overwrite to replace it"
        raise FolderError(f"{path} is {kind}, or choose another --out.")


def _difference(predictor: Predictor, description: Mapping[str, Any], way: Format, content: bytes) -> float:
    """The largest difference between the file's answers and the model's. Raises ModelError beyond TOLERANCE."""
    try:
        answer, found = way.read(content)
        seen = [_apart(predictor, answer, description, count) for count in SIZES]
    except Exception as error:
        raise ModelError(
            f"the exported model cannot be run ({said(error)}): its forward must not hang on the number of "
            "examples; another --format may hold it."
        ) from error
    assert found == description
    difference = max(seen, key=lambda each: math.inf if math.isnan(each) else each)
    if not difference <= TOLERANCE:
        raise ModelError(
            f"the exported model answers otherwise than the model itself, by {difference:.2g} where {TOLERANCE:g} is allowed; no "
            "file was written: its forward must not hang on the number of examples or draw numbers; another --format may hold it."
        )
    return difference


@torch.no_grad()
def _apart(
    predictor: Predictor, answer: Callable[[Tensor], Tensor], description: Mapping[str, Any], count: int
) -> float:
    """How far the two answers lie apart on `count` examples: inf where their shapes differ."""
    raw, x = specimens(predictor.preprocessing, description, count)
    outputs = predictor.module(predictor.preprocessing.to_tensor(raw)).double()
    target = predictor.preprocessing.target
    wanted = torch.softmax(outputs, -1) if target.classes else target.restore(outputs.reshape(-1))
    given = answer(x).double()
    if given.shape != wanted.shape:
        return math.inf
    return float((given - wanted).abs().max()) / target.std

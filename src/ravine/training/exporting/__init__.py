"""Models as files that need no Ravine: ONNX, TorchScript and PT2, one file each, the preprocessing within."""

from ravine.training.exporting.exported import FORMATS, Exported, export
from ravine.training.exporting.reading import table_rows

__all__ = ["FORMATS", "Exported", "export", "table_rows"]

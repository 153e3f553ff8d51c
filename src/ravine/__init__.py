"""Ravine trains neural networks well without tons of GPUs.

    import ravine
    result = ravine.tune("mlp", "digits", budget="60s", out="runs/digits")
    model = ravine.load("runs/digits")

Names are looked up when they are first used, so that `import ravine` and `ravine --help` need not wait for torch.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ravine.api import check as check
    from ravine.api import evaluate as evaluate
    from ravine.api import inspect as inspect
    from ravine.api import lr_range as lr_range
    from ravine.api import resume as resume
    from ravine.api import run_search as run_search
    from ravine.api import train as train
    from ravine.api import tune as tune
    from ravine.diagnosis.diagnose import diagnose as diagnose
    from ravine.diagnosis.finding import Finding as Finding
    from ravine.recipe.inspection import Inspection as Inspection
    from ravine.recipe.result import Result as Result
    from ravine.recipe.verdict import Verdict as Verdict
    from ravine.training.exporting.exported import Exported as Exported
    from ravine.training.exporting.exported import export as export
    from ravine.training.predictor import Predictor as Predictor
    from ravine.training.predictor import load as load

_HOME = {
    "check": "ravine.api",
    "evaluate": "ravine.api",
    "inspect": "ravine.api",
    "lr_range": "ravine.api",
    "resume": "ravine.api",
    "run_search": "ravine.api",
    "train": "ravine.api",
    "tune": "ravine.api",
    "Finding": "ravine.diagnosis.finding",
    "diagnose": "ravine.diagnosis.diagnose",
    "Inspection": "ravine.recipe.inspection",
    "Result": "ravine.recipe.result",
    "Verdict": "ravine.recipe.verdict",
    "Exported": "ravine.training.exporting.exported",
    "export": "ravine.training.exporting.exported",
    "Predictor": "ravine.training.predictor",
    "load": "ravine.training.predictor",
}

__all__ = [
    "Exported",
    "Finding",
    "Inspection",
    "Predictor",
    "Result",
    "Verdict",
    "check",
    "diagnose",
    "evaluate",
    "export",
    "inspect",
    "load",
    "lr_range",
    "resume",
    "run_search",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return metadata.version("ravine")
    if name not in _HOME:
        raise AttributeError(f"module 'ravine' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]

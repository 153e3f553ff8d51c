"""What a reader without Ravine must know of an exported model, as JSON: the columns in order, the categories, the classes.

{"format": 1, "ravine": "0.1.0", "task": "classification", "target": "kind", "classes": ["iris", "rose"],
 "input": {"name": "x", "holds": "table", "dtype": "float64", "shape": ["batch", 2], "columns": [
     {"name": "petal", "kind": "numeric", "missing": "nan"},
     {"name": "colour", "kind": "categorical", "categories": ["blue", "red"], "missing": "missing", "unknown": -1}]},
 "output": {"name": "probabilities", "dtype": "float32", "shape": ["batch", 2]}, ...}
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

from ravine.data import ArrayPreprocessing, ImagePreprocessing, Preprocessing, TablePreprocessing
from ravine.data.columns import MARKERS, MISSING, Column, NumericColumn
from ravine.training.predictor import Predictor

__all__ = ["INPUT", "NAME", "described"]

NAME = "ravine.json"  # under which the formats keep the description
INPUT = "x"

HOW = {
    "table": "One row per example, the columns in this order. Of a numeric column its number as it stands in the table, nan "
    "where there is none: filling and standardizing are part of the model. Of a categorical column the position of its text "
    "in categories, counted from 0; a cell that holds nothing has the text in missing; a text not listed is -1. A number "
    "that names a category is written as a whole number where it is one: '3', not '3.0'.",
    "image": "Pixels, uint8, red, green, blue or one grey, resized to this height and width. Standardizing is part of the model.",
    "bytes": "Bytes, uint8. Standardizing is part of the model.",
    "array": "Numbers in their own units, finite. Standardizing is part of the model.",
}


def described(predictor: Predictor, ensemble: bool) -> dict[str, Any]:
    """The record; `ensemble`: whether it is several models that answer as one."""
    record, target = predictor.record, predictor.preprocessing.target
    classes = list(predictor.classes)
    return {
        "format": 1,
        "ravine": importlib.metadata.version("ravine"),
        "task": predictor.task,
        "target": target.name,
        "classes": classes,
        "input": {"name": INPUT, **_input(predictor.preprocessing)},
        "output": {
            "name": "probabilities" if classes else "predictions",
            "dtype": "float32" if classes else "float64",
            "shape": ["batch", len(classes)] if classes else ["batch"],
        },
        "model": {
            "name": record.model,
            "ensemble": ensemble,
            "trial": record.trial,
            "hyperparameters": record.hyperparameters,
            "validation": dict(record.validation),
        },
    }


def _input(preprocessing: Preprocessing) -> dict[str, Any]:
    if isinstance(preprocessing, TablePreprocessing):
        columns = preprocessing.columns
        return {
            "holds": "table",
            "dtype": "float64",
            "shape": ["batch", len(columns)],
            "columns": [_column(each) for each in columns],
            "missing_marks": sorted(MARKERS),
            "how": HOW["table"],
        }
    shape = ["batch", *preprocessing.input_shape]
    if isinstance(preprocessing, ImagePreprocessing):
        return {"holds": "images", "dtype": "uint8", "shape": shape, "how": HOW["image"]}
    assert isinstance(preprocessing, ArrayPreprocessing)
    if preprocessing.pixels:
        return {"holds": "array", "dtype": "uint8", "shape": shape, "how": HOW["bytes"]}
    return {"holds": "array", "dtype": "float64", "shape": shape, "how": HOW["array"]}


def _column(column: Column) -> dict[str, Any]:
    if isinstance(column, NumericColumn):
        return {"name": column.name, "kind": "numeric", "missing": "nan"}
    return {
        "name": column.name,
        "kind": "categorical",
        "categories": list(column.categories),
        "missing": MISSING,
        "unknown": -1,
    }

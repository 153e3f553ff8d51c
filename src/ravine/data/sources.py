"""From what the user wrote (`digits`, a path, `hf:NAME`) to raw labelled examples, part by part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ravine.data.arrays import ArrayExamples
from ravine.data.examples import Examples, Parts
from ravine.data.huggingface import load_hub, load_image_folder, load_parquet
from ravine.data.image_sets import ImageExamples
from ravine.data.layouts import find_layout, is_image, split_name
from ravine.data.table_files import Table, check_names, read_table, table_labels
from ravine.data.tables import TableExamples
from ravine.data.targets import Labels, row_numbers
from ravine.errors import DataError, nearest

__all__ = ["find_parts"]

LABEL_COLUMNS = ("label", "labels", "target", "class")  # taken, in this order, when no target is given


def find_parts(spec: str, target: str | None, categorical: Sequence[str], memory_limit: int) -> Parts:
    """What there is to read at `spec`. Raises DataError when that is nothing, or not what the options say."""
    if spec == "digits":
        refuse(spec, target, categorical)
        return Parts(digits())
    if spec.startswith("hf:"):
        return hub_parts(spec, target, categorical, memory_limit)
    layout = find_layout(spec)
    if layout.kind == "table":
        return named_parts(
            {split: table_examples(read_table(files), target, categorical) for split, files in layout.splits.items()}
        )
    refuse(spec, None, categorical)
    folders = layout.kind == "image folder"
    sets = load_image_folder(layout.splits, layout.suffixes) if folders else load_parquet(layout.splits)
    return named_parts(
        {
            split: image_examples(dataset, file_name(layout.splits[split]), target, folders, memory_limit)
            for split, dataset in sets.items()
        }
    )


def refuse(spec: str, target: str | None, categorical: Sequence[str]) -> None:
    """Raise DataError for an option that means nothing here."""
    if target is not None and target != "target":
        raise DataError(f"{spec} has a target of its own: leave --target {target} out.")
    if categorical:
        raise DataError(f"{spec} is no table: leave --categorical {categorical[0]} out.")


def named_parts(parts: Mapping[str, Examples], notes: tuple[str, ...] = ()) -> Parts:
    return Parts(parts["train"], parts.get("validation"), parts.get("test"), notes)


def digits() -> ArrayExamples:
    """scikit-learn's 1,797 handwritten digits, [1, 8, 8], grey values 0 to 16 as it gives them."""
    from sklearn.datasets import load_digits

    found = load_digits()
    return ArrayExamples(
        found.images[:, None].astype(np.float32), Labels("target", found.target, lambda *rows: f"digits {rows}")
    )


def table_examples(table: Table, target: str | None, categorical: Sequence[str]) -> TableExamples:
    return TableExamples(table, table_labels(table, target), tuple(categorical))


def hub_parts(spec: str, target: str | None, categorical: Sequence[str], memory_limit: int) -> Parts:
    """Images when a column holds them, else a table."""
    sets = load_hub(spec.removeprefix("hf:"))
    named = {split_name(split): split for split in reversed(sets) if split_name(split)}
    if "train" not in named:
        named = {"train": next(iter(sets))}
    left = [split for split in sets if split not in named.values()]
    notes = (f"splits not used: {', '.join(left)}",) if left else ()
    parts: dict[str, Examples] = {}
    for split, name in named.items():
        dataset, shown = sets[name], f"split {name} of {spec}"
        if any(is_image(field.type) for field in dataset.features.arrow_schema):
            refuse(spec, None, categorical)
            parts[str(split)] = image_examples(dataset, shown, target, True, memory_limit)
        else:
            parts[str(split)] = table_examples(hub_table(dataset, shown), target, categorical)
    return named_parts(parts, notes)


def hub_table(dataset: Any, shown: str) -> Table:
    """Classes declared by the data set are read by their names."""
    check_names(shown, list(dataset.features))
    frame = dataset.to_pandas()
    for name, feature in dataset.features.items():
        if hasattr(feature, "int2str"):
            codes = label_values_of(frame[name], tuple(feature.names))
            frame[name] = [feature.names[code] if code >= 0 else None for code in codes]
    count = len(frame)
    if not count or not len(frame.columns):
        raise DataError(f"{shown} has no {'rows' if len(frame.columns) else 'columns'}; a table needs both.")
    return Table(frame, (shown,), np.zeros(count, dtype=np.int64), np.arange(1, count + 1))


def image_examples(dataset: Any, shown: str, target: str | None, read_paths: bool, memory_limit: int) -> ImageExamples:
    """Images of one split with their labels; the column of labels is the target, or told by its name or type."""
    schema = dataset.features.arrow_schema
    image = next(field.name for field in schema if is_image(field.type))
    others = [name for name in dataset.features if name != image]
    column = label_column(shown, others, dataset.features, target)
    feature = dataset.features[column]
    declared = tuple(feature.names) if hasattr(feature, "names") else ()
    if not len(dataset):
        raise DataError(f"{shown} has no rows.")
    values = dataset.with_format("arrow")[:].column(column).to_pandas()
    labels = label_values_of(values, declared)
    return ImageExamples(
        dataset,
        image,
        Labels(
            column,
            labels,
            lambda *rows: f"{row_numbers([row + 1 for row in rows])} of {shown} (counting from 1)",
            declared,
        ),
        read_paths=read_paths,
        memory_limit=memory_limit,
    )


def label_values_of(values: Any, declared: tuple[str, ...]) -> Any:
    from ravine.data.table_files import label_values

    if not declared:
        return label_values(values)
    import pandas as pd

    codes = pd.to_numeric(values, errors="coerce").fillna(-1).clip(-1, len(declared))
    if (codes == len(declared)).any():
        raise DataError(
            f"a label is {values[codes == len(declared)].iloc[0]}, and only {len(declared)} classes are declared."
        )
    return codes.to_numpy(dtype=np.int64)


def label_column(shown: str, others: Sequence[str], features: Mapping[str, Any], target: str | None) -> str:
    """The target when it is given; else a column called label (or alike), the one of declared classes, the only one."""
    if target is not None:
        if target not in others:
            raise DataError(f"{shown} has no column {target!r} (--target); {nearest(target, others)}")
        return target
    usual = [name for name in LABEL_COLUMNS if name in others]
    declared = [name for name in others if hasattr(features[name], "names")]
    for candidates in (usual[:1], declared, others):
        if len(candidates) == 1:
            return candidates[0]
    raise DataError(
        f"{shown}: which column holds the labels? Write --target NAME, with NAME one of: {', '.join(others) or 'none'}."
    )


def file_name(files: Sequence[Path]) -> str:
    return files[0].name if len(files) == 1 else str(files[0].parent)

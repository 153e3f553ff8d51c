"""What a file or folder is, by its names and its schema: a table, encoded images in Parquet, images by class.

Nothing is read here but the names of files and the columns of a Parquet file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ravine.data.table_files import TABLE_SUFFIXES
from ravine.errors import DataError, first_line, nearest

__all__ = ["Layout", "find_layout", "split_name"]

IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"])
SPLITS = {
    "train": "train", "training": "train",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip

UNDERSTOOD = (
    "understood are a CSV, TSV or Parquet table; a Parquet file of images (or a folder of them: train-*.parquet, "
    "test-*.parquet); a folder with train.csv (and test.csv); a folder with a folder of images per class, or train/ "
    "and test/ with these; digits; hf:NAME"
)


@dataclass(frozen=True)
class Layout:
    """What lies at a path, by split: files of a table or of Parquet images; a folder, of images by class."""

    kind: Literal["table", "parquet images", "image folder"]
    splits: Mapping[str, tuple[Path, ...]]  # keys among train, validation, test; a lone part is "train"
    suffixes: tuple[str, ...] = ()  # of the images in a folder, as written: ".png", ".JPG"


def find_layout(spec: str) -> Layout:
    """Raises DataError when there is nothing at the path, or nothing that can be used."""
    try:
        path = Path(spec).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:  # too long a name, ~nobody
        raise DataError(
            f"{spec[:80]!r} is no path that can be looked at ({first_line(error)}); {UNDERSTOOD}."
        ) from error
    if path.is_file():
        return _file_layout({"train": (path,)})
    if not path.exists():
        beside = path.parent.glob("[!.]*") if path.parent.is_dir() else []
        near = nearest(path.name, [*(each.name for each in beside), "digits"])
        raise DataError(
            f"there is no file or folder {spec!r}" + (f"; {near}" if near.startswith("did you") else f"; {UNDERSTOOD}.")
        )
    if not path.is_dir():
        raise DataError(f"{spec} is neither a file nor a folder, and cannot be read twice; {UNDERSTOOD}.")
    tables = sorted(each for each in path.iterdir() if each.suffix.lower() in TABLE_SUFFIXES and each.is_file())
    by_split = _group(tables)
    if by_split:
        return _file_layout(by_split)
    return _folder_layout(path)


def split_name(name: str) -> str | None:
    """The split a file or folder is named after, if any: 'train-00000-of-00001.parquet' -> 'train'."""
    found = re.match(r"[A-Za-z]+", name)
    return SPLITS.get(found.group().lower()) if found else None


def _group(tables: list[Path]) -> dict[str, tuple[Path, ...]]:
    """Files by the split they are named after; Parquet files without such names are one set."""
    grouped: dict[str, tuple[Path, ...]] = {}
    for table in tables:
        split = split_name(table.name)
        if split:
            grouped[split] = (*grouped.get(split, ()), table)
    if "train" in grouped:
        return grouped
    parquet = tuple(each for each in tables if each.suffix.lower() == ".parquet")
    if len(grouped) == 1:
        return {"train": next(iter(grouped.values()))}
    return {"train": parquet} if parquet else {}


def _file_layout(splits: dict[str, tuple[Path, ...]]) -> Layout:
    first = splits["train"][0]
    if first.suffix.lower() not in TABLE_SUFFIXES:
        raise DataError(f"{first} is not a kind of file that can be used; {UNDERSTOOD}.")
    images = first.suffix.lower() == ".parquet" and _holds_images(first)
    return Layout("parquet images" if images else "table", splits)


def _holds_images(path: Path) -> bool:
    """Whether a column of a Parquet file is laid out as `datasets` does images: a struct with `bytes`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}") from error
    return any(is_image(field.type) for field in schema)


def is_image(arrow_type: object) -> bool:
    import pyarrow as pa

    return isinstance(arrow_type, pa.StructType) and {"bytes", "path"} == {field.name for field in arrow_type}


def _folder_layout(path: Path) -> Layout:
    """A folder of images by class, or of splits of these."""
    splits: dict[str, tuple[Path, ...]] = {}
    for each in sorted(path.iterdir()):
        split = split_name(each.name) if each.is_dir() and each.name.lower() in SPLITS else None
        if split and _image_suffixes(each):
            splits[split] = (each,)
    if "train" not in splits:
        splits = {"train": (path,)}
    suffixes = {suffix for folders in splits.values() for suffix in _image_suffixes(folders[0])}
    if not suffixes:
        raise DataError(f"the folder {path} holds nothing that can be used; {UNDERSTOOD}.")
    return Layout("image folder", splits, tuple(sorted(suffixes)))


def _image_suffixes(folder: Path) -> set[str]:
    """Suffixes of the images one level down: folder/CLASS/NAME.png."""
    return {image.suffix for image in folder.glob("[!.]*/[!.]*.*") if image.suffix.lower() in IMAGE_SUFFIXES}

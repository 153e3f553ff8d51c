"""The one door to Hugging Face `datasets`: Parquet files, folders of images and the hub, errors in one line.

Nothing is decoded by `datasets` and no progress bar is drawn; what it writes stays in its own cache.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ravine.errors import DataError

__all__ = ["load_hub", "load_image_folder", "load_parquet"]

BUILDERS = frozenset(["arrow", "csv", "imagefolder", "json", "parquet", "text"])
"""The readers of `datasets` that are used; it has some thirty."""


def load_parquet(files: Mapping[str, Sequence[Path]]) -> dict[str, Any]:
    """A `Dataset` for each split, from its Parquet files."""
    named = {split: [literal(path) for path in paths] for split, paths in files.items()}
    first = next(iter(files.values()))[0]
    return load_splits(f"{first.parent}", "parquet", data_files=named)


def load_image_folder(folders: Mapping[str, Sequence[Path]], suffixes: Sequence[str]) -> dict[str, Any]:
    """A `Dataset` for each split, from its folder (the only one given) with a folder of images per class.

    The files are named one pattern per suffix: left to itself, `datasets` would read splits out of the names of
    files ("test_1.png"), and labels out of a metadata file that lies beside them.
    """
    patterns = {
        split: [f"{literal(folder)}/*/*{suffix}" for suffix in suffixes if any(folder.glob(f"*/*{suffix}"))]
        for split, (folder,) in folders.items()
    }
    first = next(iter(folders.values()))[0]
    return load_splits(str(first), "imagefolder", data_files=patterns, drop_labels=False)


def load_hub(name: str) -> dict[str, Any]:
    """A `Dataset` for each split of NAME, OWNER/NAME, either followed by /CONFIG, or a folder on this machine."""
    import datasets

    if not name.strip("/"):
        raise DataError("hf: needs the name of a data set: write hf:NAME or hf:NAME/CONFIG.")
    head, _, tail = name.rstrip("/").rpartition("/")
    if Path(name).is_dir() or not head:
        return load_splits(f"hf:{name}", name)
    if Path(head).is_dir() or head.count("/") == 1:
        return load_splits(f"hf:{name}", head, tail)
    try:
        return load_splits(f"hf:{name}", name)
    except DataError as error:
        if not isinstance(error.__cause__, datasets.exceptions.DatasetNotFoundError):
            raise
        return load_splits(f"hf:{name}", head, tail)


def load_splits(shown: str, *args: Any, **options: Any) -> dict[str, Any]:
    """`datasets.load_dataset`, its many exceptions as one DataError that says what was asked for."""
    import datasets

    with without_progress_bars():
        try:
            builder = datasets.load_dataset_builder(*args, **options)
            check_builder(shown, type(builder).__module__)
            builder.download_and_prepare()
            found = builder.as_dataset()
        except datasets.exceptions.DatasetNotFoundError as error:
            raise DataError(f"{shown}: there is no such data set (or it is not public): check the name.") from error
        except DataError:
            raise
        except ConnectionError as error:
            raise DataError(
                f"{shown} cannot be reached and is not in the cache: check the name and the network "
                f"({one_line(error)})."
            ) from error
        except MemoryError:
            raise
        except Exception as error:  # the files are a stranger's, and the readers raise what comes
            reason = error.__cause__ or error  # of a failed conversion, the cause says more than the wrapper
            raise DataError(f"{shown} cannot be read: {one_line(reason)}") from error
    return {str(split): dataset for split, dataset in found.items()}


def check_builder(shown: str, module: str) -> None:
    """Raise DataError for a kind of file that is not read: of some, reading is running (a pickle, a query, a catalogue)."""
    kind = module.rpartition(".")[2]
    if not module.startswith("datasets.packaged_modules.") or kind not in BUILDERS:
        raise DataError(f"{shown} is read by {kind!r}, which Ravine leaves alone: give {', '.join(sorted(BUILDERS))}.")


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """Hide the bars of `datasets` inside, and put them back for a caller who had them on."""
    import datasets

    hidden = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if not hidden:
            datasets.enable_progress_bars()


def one_line(error: BaseException | None) -> str:
    return " ".join(str(error).split())[:300]


def literal(path: Path) -> str:
    """A path as a pattern that matches only itself."""
    return glob.escape(str(path))

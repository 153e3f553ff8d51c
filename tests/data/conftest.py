"""Small files of every layout, written anew for each test, and the marker of tests that need the shared data sets."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

SHARED = Path(__file__).parents[2] / "../shared/data"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs_shared_data: reads the data sets that lie beside the repository")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("needs_shared_data") and not SHARED.is_dir():
            item.add_marker(pytest.mark.skip(reason="the shared data sets do not lie beside this repository"))


@pytest.fixture
def shared() -> Path:
    return SHARED


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What `datasets` keeps goes to a folder of the test's own."""
    import datasets

    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(cache))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture
def frame() -> pd.DataFrame:
    """60 rows: two columns of numbers, one of categories, target y with classes p and q."""
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "size": rng.normal(5, 2, 60),
            "count": rng.integers(0, 9, 60),
            "colour": rng.choice(["red", "green", "blue"], 60),
            "y": rng.choice(["p", "q"], 60),
        }
    )


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write a frame, text or bytes to a file in the test's folder; its path."""

    def write(content: pd.DataFrame | str | bytes, name: str = "table.csv") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, pd.DataFrame):
            content.to_parquet(path) if name.endswith(".parquet") else content.to_csv(path, index=False)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """A PNG of random pixels: (seed, width, height, mode)."""

    def encoded(seed: int, width: int = 5, height: int = 4, mode: str = "L") -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, "PNG")
        return file.getvalue()

    return encoded


@pytest.fixture
def image_parquet(tmp_path: Path) -> Callable[..., str]:
    """Write images and labels in the Hugging Face layout; its path. names None: no metadata."""

    def write(
        images: Sequence[bytes],
        labels: Sequence[object],
        names: Sequence[str] | None = ("a", "b"),
        file: str = "set.parquet",
    ) -> str:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [{"bytes": image, "path": f"{i}.png"} for i, image in enumerate(images)]
        table = pa.table(
            {
                "image": pa.array(rows, pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
                "label": pa.array(list(labels)),
            }
        )
        if names is not None:
            features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, path)
        return str(path)

    return write


@pytest.fixture
def image_folder(tmp_path: Path, encoded: Callable[..., bytes]) -> Callable[..., Path]:
    """A folder of images by class; its path."""

    def make(name: str = "pets", count: int = 10, **how: object) -> Path:
        for number, kind in enumerate(("cat", "dog")):
            folder = tmp_path / name / kind
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"test_{i}.png").write_bytes(encoded(100 * number + i, **how))
        return tmp_path / name

    return make

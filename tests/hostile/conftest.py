"""What the tests of hostile input share: a small run of one's own, to be copied and turned into a stranger's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ravine

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 rows of two numbers and a kind."""
    draw = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("flowers") / "flowers.csv"
    rows = [f"{draw.normal(4.0 * (k % 2)):.3f},{draw.normal():.3f},{'ir' if k % 2 else 'ro'}" for k in range(40)]
    path.write_text("petal,sepal,kind\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="session")
def small_run(flowers: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training with an ensemble; not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "flowers"
    more: dict[str, Any] = {"epochs": 1, "settings": {"hidden": [4]}, "ensemble": "independent", "size": 2, "out": out}
    ravine.train("mlp", str(flowers), target="kind", **more)
    return out


@pytest.fixture
def changed() -> Callable[[Path, Change], None]:
    """Change one JSON record in its place."""

    def change(path: Path, how: Change) -> None:
        record = json.loads(path.read_text())
        how(record)
        path.write_text(json.dumps(record))

    return change

"""The command line as a person meets it: words in; exit status, standard output and standard error out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ravine.cli import main


class Answer(NamedTuple):
    status: int
    out: str
    err: str


Ravine = Callable[..., Answer]


@pytest.fixture
def ravine(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ravine:
    """`ravine WORDS` in this process, standing in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Answer:
        status = main([str(word) for word in words])
        return Answer(status, *capsys.readouterr())

    return run


@pytest.fixture
def process(tmp_path: Path) -> Ravine:
    """`ravine WORDS` as a process of its own, standing in an empty folder; keywords go to subprocess.run."""

    def run(*words: object, **more: Any) -> Answer:
        command = [sys.executable, "-m", "ravine", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False, **more)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 flowers of two kinds, told apart by their petals, with a colour that says nothing."""
    path = tmp_path_factory.mktemp("data") / "flowers.csv"
    draw = np.random.default_rng(5)
    kind = np.arange(120) % 2
    rows = ["petal,sepal,colour,kind"]
    for k in kind:
        petal, sepal = draw.normal(4.0 * k, 1.0), draw.normal()
        rows.append(f"{petal:.4f},{sepal:.4f},{draw.choice(['red', 'blue'])},{['iris', 'rose'][k]}")
    path.write_text("\n".join(rows) + "\n")
    return path

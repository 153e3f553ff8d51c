"""Run folders shared by the tests that only read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from .folders import write_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole classification run; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole regression run; not to be changed."""
    return write_run(tmp_path_factory.mktemp("runs") / "diabetes", task="regression", data="diabetes.csv")

"""A whole gallery in seconds: every figure at its own settings, but for the long walks and trainings, which are cut short."""

from __future__ import annotations

from pathlib import Path

import pytest

from ravine.reports.gallery import generalization, rates, rosenbrock, write_gallery


def cut_short(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rosenbrock, "STEPS", 60)
    patch.setattr(rates, "STEPS", 20)
    patch.setattr(rates, "FOLLOWED_STEPS", 30)
    patch.setattr(generalization, "STEPS", 20)


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The long figures cut short in this test."""
    cut_short(monkeypatch)


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """index.html of a gallery; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        cut_short(patch)
        return write_gallery(tmp_path_factory.mktemp("gallery") / "pictures")

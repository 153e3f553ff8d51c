"""A run that goes down in the middle of this process, wherever a test wants it to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ravine.recipe.session import Silent
from ravine.training import saver


class CrashError(Exception):
    """What takes a run down in the middle of this process."""


class Fuse(Silent):
    """A watcher that brings the run down after so many steps of its step `where`, and keeps what it is told."""

    def __init__(self, where: str = "", after: int = 0) -> None:
        self.where, self.left, self.notes = where, after, list[str]()
        self.now = ""

    def begin(self, step: str) -> None:
        self.now = step

    def advance(self, share: float, text: str = "") -> None:
        self.left -= self.now == self.where
        if self.where and self.left < 0:
            raise CrashError(f"{self.now} at {share}: {text}")

    def note(self, text: str) -> None:
        self.notes.append(text)


@contextmanager
def crashing() -> Iterator[None]:
    """A run that goes down in here, and whose state was written at every step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saver, "EVERY", 0.0)
        patch.setattr(saver, "SHARE", 1e9)
        patch.setattr(os, "fsync", lambda _file: None)  # this process lives on
        with pytest.raises(CrashError):
            yield

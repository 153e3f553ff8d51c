"""Keeping freed memory: asked of glibc, and of no other library."""

from __future__ import annotations

import ctypes
import platform
import sys

import pytest

from ravine.engines.allocator import keep_freed_memory


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory.__wrapped__() is False


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert keep_freed_memory.__wrapped__() is False


def test_both_thresholds_are_set_to_a_gibibyte(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    class Library:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            asked[parameter] = value
            return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Library)
    assert keep_freed_memory.__wrapped__() is True
    assert asked == {-1: 2**30, -3: 2**30}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_glibc_takes_the_thresholds() -> None:
    assert keep_freed_memory() is True

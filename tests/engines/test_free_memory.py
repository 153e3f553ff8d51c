"""Free memory: of the machine, and of a container that is bound to less."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ravine.engines import free_memory as module
from ravine.engines.free_memory import free_memory

CPU = torch.device("cpu")
MEMINFO = "MemTotal:       24684096 kB\nMemFree:         1000 kB\nMemAvailable:   {} kB\nBuffers: 5 kB\n"


def system(monkeypatch: pytest.MonkeyPatch, files: dict[str, str]) -> None:
    """A machine whose files say so; a file that is not named is missing."""
    monkeypatch.setattr(module, "_text", lambda path: files.get(str(path), ""))


def test_it_is_more_than_nothing_and_less_than_an_exabyte() -> None:
    assert 2**20 < free_memory(CPU) < 2**60


def test_the_system_says_what_it_can_give(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, {"/proc/meminfo": MEMINFO.format(3000)})
    assert free_memory(CPU) == 3000 * 1024


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_a_container_has_no_more_than_its_limit_leaves(monkeypatch: pytest.MonkeyPatch, limit: str, used: str) -> None:
    root = Path("/sys/fs/cgroup")
    files = {"/proc/meminfo": MEMINFO.format(3000), str(root / limit): "50000\n", str(root / used): "20000\n"}
    system(monkeypatch, files)
    assert free_memory(CPU) == 30_000
    system(monkeypatch, {**files, str(root / used): "60000\n"})
    assert free_memory(CPU) == 0
    system(monkeypatch, {**files, str(root / limit): "max\n"})
    assert free_memory(CPU) == 3000 * 1024


def test_where_the_system_says_nothing_half_of_its_memory_is_taken_to_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    system(monkeypatch, {})
    monkeypatch.setattr(module.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 100, "SC_PAGE_SIZE": 4096}[name])
    assert free_memory(CPU) == 50 * 4096

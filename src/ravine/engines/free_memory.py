"""How much memory there is for training, now: of a GPU what its driver says is free, of a CPU what the system can still give.

A container is bound by its own limit (cgroup, version 2 or 1) where that is lower than what the machine has.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

__all__ = ["free_memory"]

UNKNOWN = 4 * 2**30
"""Bytes taken to be free where the system does not say."""


def free_memory(device: torch.device) -> int:
    """Bytes that could be asked for on a device before something gives way.

    What torch keeps of a GPU for reuse counts as free.
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return int(min(_system(), _container()))


def _system() -> int:
    """Free memory of the machine; what it would give back of its caches counts, where it says so."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _text("/proc/meminfo"), re.MULTILINE)
    if found:
        return int(found[1]) * 1024
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, ValueError, OSError):  # not a Unix
        return UNKNOWN


def _container() -> float:
    """What the limit of the container leaves; infinite where there is none."""
    root = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        most, now = _text(root / limit), _text(root / used)
        if most.strip().isdigit() and now.strip().isdigit():
            return max(0, int(most) - int(now))
    return float("inf")


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except OSError:
        return ""

"""How this process was begun: alone, or as one of several by torchrun or by SLURM's srun. Read from the environment.

Nothing is imported here, so that whoever only prints need not wait for torch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["Launched", "launched"]

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
SLURM_NAMES = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE")

INTERACTIVE = ("bash", "interactive")
"""Names of SLURM jobs that are shells: what is typed there is one process, whatever the allocation."""


class Launched(NamedTuple):
    """A process among those begun together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on its machine
    local_size: int = 1
    by: str = ""  # torchrun, SLURM, or nobody

    @property
    def leads(self) -> bool:
        """Is it the one that writes and speaks?"""
        return self.rank == 0

    @property
    def complains(self) -> bool:
        """Is it the one of its machine that says what is wrong there, where each would say the same?"""
        return self.local_rank == 0


def launched(environment: Mapping[str, str] | None = None) -> Launched:
    """Of this process; of the environment given, where one is.

    >>> launched({"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    Launched(rank=1, size=4, local_rank=1, local_size=2, by='torchrun')
    >>> launched({})
    Launched(rank=0, size=1, local_rank=0, local_size=1, by='')
    """
    known = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" in known or all(name in known for name in NAMES):
        return _of(known, NAMES, "torchrun")
    if "SLURM_PROCID" in known and known.get("SLURM_JOB_NAME") not in INTERACTIVE:
        found = _of(known, SLURM_NAMES, "SLURM")
        return found if found.size > 1 else Launched()
    return Launched()


def _of(known: Mapping[str, str], names: tuple[str, ...], by: str) -> Launched:
    rank, size, local_rank, local_size = (int(known.get(*pair)) for pair in zip(names, "0101", strict=True))
    return Launched(rank, size, local_rank, local_size, by)

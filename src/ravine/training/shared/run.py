"""The training loop as one of several processes goes through it, each on its rows of every batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from ravine.engines import Loss
from ravine.rules import Rule
from ravine.training.run import Measured, Run
from ravine.training.shared.batch_norm import synchronized
from ravine.training.shared.population import SharedPopulation
from ravine.training.shared.team import Team

__all__ = ["SharedRun"]


class SharedRun(Run):
    """A `Run` of one setting by the processes of a team. All see the same metrics, and decide the same.

    rescue: writes the state; called where another process is lost between two steps, or in one that was taken back.
    """

    def __init__(self, *given: Any, team: Team, rescue: Callable[[], None] = lambda: None, **more: Any) -> None:
        self.team, self.rescue = team, rescue
        super().__init__(*given, **more)
        self.batches.rows = team.part(self.batch_size)

    def advance(self, steps: int, *, deadline: float = math.inf) -> bool:
        try:
            return super().advance(steps, deadline=deadline)
        except Exception as error:
            if self.team.lost(error) and not self._owed and not self._sharded:  # whose state is gathered from all
                self.rescue()
            raise

    def _populated(
        self, modules: Sequence[nn.Module], rules: Sequence[Rule], loss: Loss, **more: Any
    ) -> SharedPopulation:
        made = [synchronized(one) for one in modules] if self._synchronizes else modules
        if not self._sharded:
            return SharedPopulation(made, rules, loss, team=self.team, batch_size=self.batch_size, **more)
        from ravine.training.shared.sharded import ShardedPopulation  # torch's part for it takes a second to load

        return ShardedPopulation(made, rules, loss, team=self.team, batch_size=self.batch_size, **more)

    @property
    def _sharded(self) -> bool:
        return self.team.sharing.strategy == "fsdp" and self.team.size > 1

    @property
    def _synchronizes(self) -> bool:
        return self.team.sharing.sync_batch_norm and self.team.size > 1

    def _late(self, deadline: float) -> bool:
        """By the leader's clock."""
        if deadline == math.inf:
            return False
        return bool(self.team.largest(self.team.leads and time.monotonic() >= deadline)[0])

    def _common(self, measured: Measured) -> Measured:
        return self.team.told(measured)

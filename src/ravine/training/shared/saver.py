"""When several processes write down the state of their training: all at the same step, and one of them does it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ravine.training.saver import Saver, ending
from ravine.training.shared.team import Team
from ravine.training.snapshots import State

__all__ = ["SharedSaver"]


class SharedSaver(Saver):
    """A `Saver` of which the leader alone has a folder. Its methods are collective, but for `save` and `drop`."""

    def __init__(self, *given: Any, team: Team, **more: Any) -> None:
        super().__init__(*given, **more)
        self.team = team

    def decided(self, name: str, make: Callable[[], Any]) -> Any:
        return self.team.told(super().decided(name, make) if self.team.leads else None)

    def load(self, phase: str) -> State | None:
        return self.team.told(super().load(phase))

    def safe(self) -> None:
        """As a saver's. A signal that one process got ends all of them, with the state written."""
        number, due = self.team.largest(self._signal, time.monotonic() >= self._due)
        if number:
            self._signal = int(number)
        if number or due:
            self.save()
        if number:
            raise ending(self._signal)

    def save(self) -> None:
        """As a saver's; where the weights are divided, all gather the state that one writes."""
        if self.team.leads:
            super().save()
        elif self.team.sharing.strategy == "fsdp" and self.team.folder and self._snapshot is not None:
            self._snapshot()

    @property
    def _catches(self) -> bool:
        return True

"""The cures of settings that are odd by themselves: where one of them works, the rate and the epochs are not to blame."""

from __future__ import annotations

from ravine.diagnosis.cures import Cure
from ravine.diagnosis.faults import (
    batch_too_large,
    batch_too_small,
    decayed_too_early,
    epsilon_too_large,
    momentum_too_high,
)
from ravine.diagnosis.look import Look

__all__ = ["particular"]

ODD = (epsilon_too_large, momentum_too_high, decayed_too_early, batch_too_small, batch_too_large)


def particular(look: Look) -> Cure | None:
    """The first such cure that works, the surer kinds before; None where none does, or nothing is odd."""

    def search() -> Cure | None:
        for fault in ODD:
            found: Cure | None = fault.tried(look)
            if found is not None and found.works:
                return found
        return None

    return look.once("particular", search)

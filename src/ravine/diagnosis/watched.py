"""What a monitor has seen of a loop: losses, and steps looked at closely."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from torch import Tensor

from ravine.diagnosis.loss_graph import LossGraph

__all__ = ["Sight", "Watched"]

KEPT = 20
"""So many losses and close looks are kept of the beginning of a loop, and as many of its end."""


@dataclass(frozen=True)
class Sight:
    """One step looked at closely, after the optimizer has moved. Names are those of the model's parameters and modules."""

    step: int
    rows: int  # of the batch; 0 where it is not known
    evaluating: bool  # the forward pass ran in evaluation mode, in a model where that matters
    finite_input: bool
    added: bool | None  # whether every gradient was added to one that was there; None where it cannot be told
    dropped: bool  # gradients came in backward and were gone when the step was made
    grads: dict[str, float]  # norms
    moves: dict[str, float]  # norms of the updates, of the parameters that the first optimizer holds
    move: float  # norm of the update over that of the parameters
    dead: dict[str, float]  # share of a layer's units that are 0 on the whole batch
    unheld: tuple[str, ...]  # with a gradient, held by no optimizer, moved by nobody
    without: tuple[str, ...]  # held, and no gradient came
    called: frozenset[str]  # modules that have run
    held: int  # parameters of the model, by any optimizer
    foreign: tuple[int, int]  # held, but not the model's: how many, and how many with a gradient
    names: tuple[tuple[str, int], ...]  # every parameter of the model, and its numbers
    still: tuple[str, ...]  # held with a rate of 0
    maximize: bool

    @property
    def size(self) -> int:
        return sum(count for _, count in self.names)

    def share(self, names: tuple[str, ...]) -> float:
        """Of the model's numbers."""
        return sum(count for name, count in self.names if name in names) / max(self.size, 1)


@dataclass(eq=False)
class Watched:
    """All that is known of a loop, of a long one its beginning and its end.

    others: values of the parameters that no optimizer holds, at the last look.
    """

    steps: int = 0
    told: int = 0  # losses in all
    losses: list[float] = field(default_factory=list)
    spoilt_at: int | None = None  # the first loss that was not finite, counted from 1
    sights: list[Sight] = field(default_factory=list)
    graphs: list[LossGraph] = field(default_factory=list)
    others: dict[str, Tensor] = field(default_factory=dict)

    def hear(self, losses: list[float]) -> None:
        """More losses, in their order."""
        if self.spoilt_at is None:
            self.spoilt_at = next((self.told + i for i, loss in enumerate(losses, 1) if not math.isfinite(loss)), None)
        self.told += len(losses)
        self.losses += losses
        del self.losses[KEPT:-KEPT]

    def see(self, sight: Sight) -> None:
        self.sights.append(sight)
        del self.sights[KEPT:-KEPT]

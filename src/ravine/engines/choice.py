"""Which engine runs a population, on how many threads, and why: found out by timing them on its first batch.

Every engine that can run the model comes to the same gradients, so only time tells them apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from ravine.engines.memory import out_of_memory
from ravine.engines.threads import threads

__all__ = ["Choice", "Engine", "fastest"]

Engine = Literal["auto", "compiled", "stacked", "one by one"]
"""Ways to run a population's step; auto times the others and takes the fastest."""

HEAD_START = 0.9
"""Gradients alone are timed, for the update would need copies of all memory; what is compiled moves the weights in the
same pass, which saves a tenth or more of a step."""


class Choice(NamedTuple):
    """How a population is run, and why. Measured on its first batch; given, it spares the measuring."""

    engine: Engine
    threads: int | None  # None leaves torch's own number
    reason: str


def fastest(
    work: Mapping[Engine, Callable[[], Tensor]],
    counts: Sequence[int | None],
    *,
    reason: str,
    refused: Callable[[Exception], str],
) -> Choice:
    """The engine whose work takes the least time, on the number of threads of `counts` that suits it.

    work: the gradients of one batch, by every engine that may be taken. reason: why, where there was nothing to
    choose between. refused: in words, what an engine raised that is then left out.
    Raises what `one by one`, or an engine that is alone, raises, and whatever says that memory ran out.
    """
    timed: dict[tuple[Engine, int | None], float] = {}
    for engine, gradients in work.items():
        try:
            for count in counts:
                with threads(count):
                    timed[engine, count] = _seconds(gradients, limit=3 * min(timed.values(), default=math.inf))
        except Exception as refusal:  # whatever vmap, or the model under it, raises is the reason
            if engine == "one by one" or len(work) == 1 or out_of_memory(refusal):
                raise
            reason = refused(refusal)
    engine, count = min(timed, key=lambda at: timed[at] * (HEAD_START if at[0] == "compiled" else 1))
    best = {name: min(taken for (other, _), taken in timed.items() if other == name) for name, _ in timed}
    if len(best) > 1:
        own = 1e3 * timed[engine, count]
        others = ", ".join(f"{1e3 * taken:.2f} {name}" for name, taken in best.items() if name != engine)
        reason = f"measured: {own:.2f} ms for the gradients {engine}, {others}"
    return Choice(engine, count, reason)


def _seconds(work: Callable[[], Tensor], limit: float) -> float:
    """The fastest of three runs after one to warm up; beyond `limit` seconds one will do."""
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        work().sum().item()  # .item() waits for the device
        taken.append(time.perf_counter() - start)
        if len(taken) == 2 and taken[1] > limit:
            break
    return min(taken[1:])

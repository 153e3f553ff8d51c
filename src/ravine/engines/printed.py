"""One trial's step as C: the operations that were written down, each printed as loops over memory of a known size.

A gradient is written where the packed buffer wants it. An operation that is not said here raises CannotPrintError,
and the step is run as the list it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from torch import Tensor

from ravine.engines.operations import Operations
from ravine.engines.printer import CannotPrintError, Keeping, Printed
from ravine.engines.recorded import Results

__all__ = ["printed"]


def printed(
    step: Callable[..., Results], given: Sequence[Tensor], offsets: Sequence[int], shared: Collection[int] = ()
) -> Printed:
    """step(*given) of one trial -> (loss, gradients), as C.

    given: contiguous; those at the positions `shared` are the same of all trials.
    offsets: where in a row of packed gradients each one begins, in numbers.
    Raises CannotPrintError, or CannotRecordError when the step is more than its operations.
    """
    writing = Keeping(given, Operations.says)
    with writing:
        loss, slopes = step(*given)
    printer = Operations(writing, shared)
    printer.send(loss, "losses", 0)
    for slope, offset in zip(slopes, offsets, strict=True):
        if slope is None:
            raise CannotPrintError("a parameter has no gradient")
        printer.send(slope, "grads", offset * slope.element_size())
    return printer.run()

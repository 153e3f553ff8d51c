"""A network that cannot be differentiated twice is refused by the name of what stands in the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from ravine.errors import ModelError

__all__ = ["check_functions", "differentiated_twice"]

MISSING = re.compile(r"derivative for '?(?:aten::)?(\w+?)'? is not implemented")
ONCE = "trying to differentiate twice a function that was marked with @once_differentiable"


@contextmanager
def differentiated_twice(name: str) -> Iterator[None]:
    """Turn autograd's refusals inside the block into a ModelError about the model `name`; others pass as they are."""
    try:
        yield
    except RuntimeError as error:
        found = MISSING.search(str(error))
        if found is None and ONCE not in str(error):
            raise
        raise _refused(name, found[1] if found else "a function of its own") from error


def check_functions(name: str, value: Tensor) -> None:
    """Raise ModelError when a function with @once_differentiable lies in the graph of a loss.

    Autograd itself refuses one only where its incoming gradient has a graph, and otherwise leaves its curvature out.
    """
    seen: set[Any] = set()
    waiting: list[Any] = [value.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        function = getattr(node, "_forward_cls", None)
        if function is not None and hasattr(function.backward, "__wrapped__"):
            raise _refused(name, function.__name__)
        waiting += [before for before, _ in node.next_functions]


def _refused(name: str, operation: str) -> ModelError:
    return ModelError(
        f"{name} cannot be differentiated twice: {operation} has a first derivative only. Curvature needs the second: write "
        "that part with operations that have one."
    )

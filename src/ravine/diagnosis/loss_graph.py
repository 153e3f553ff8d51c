"""What a loss is made of, read off autograd's graph: two softmaxes in a row, a sum over a batch, a turned sign.

A few nodes next to the loss are looked at, by their names in torch; nothing is computed, and the graph stays as it is.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

__all__ = ["LossGraph", "read_loss"]

DEPTH = 8
"""Nodes between a loss and its softmax: torch's own have four at most (soft targets: division, sign, sum, product)."""

MOST = 20_000
"""Nodes of a graph that are looked through for parameters."""

SHAPES = (
    "View",
    "UnsafeView",
    "ReshapeAlias",
    "Transpose",
    "Permute",
    "T",
    "Squeeze",
    "Unsqueeze",
    "Slice",
    "Alias",
    "Clone",
    "ToCopy",
)
"""Nodes that move numbers and leave them as they are."""

RAW = ("Addmm", "Mm", "Convolution", "Bmm", "Relu", "Add")
"""Nodes whose results are logits rather than logarithms of probabilities."""

TAKES = {"LogSoftmax": "softmax", "BinaryCrossEntropyWithLogits": "sigmoid"}
"""Nodes that make probabilities of logits, and what must not come before them."""

MEAN, SUM = 1, 2  # torch's numbers for reduction="mean" and "sum"

PART = 0.1
"""A sum times less than that is an average over ten rows or more, or has been made small on purpose."""


@dataclass
class LossGraph:
    """losses: names of torch's loss functions that were found. summed: over the batch, without a division after it."""

    losses: list[str] = field(default_factory=list)
    twice: str = ""  # what comes before the softmax of the loss, where that is a softmax or a sigmoid already
    raw: bool = False  # nll_loss takes logits, which have seen no log_softmax
    summed: bool = False
    negated: bool = False  # a loss function with its sign turned
    shared: bool = False  # parameters of others take part in it, as those of an adversary do


def read_loss(
    loss: Tensor, *, rows: int = 0, probabilities: Any = None, own: Container[int] | None = None
) -> LossGraph:
    """Look at the nodes next to a loss.

    own: by `id`, the parameters of the model; None: it is not asked whose take part.
    rows: of the batch, which tells a sum over it from one over weights. probabilities: the grad_fn of a model's output whose
    rows are known to add up to 1: where a model is compiled its own nodes cannot be read.

    >>> import torch
    >>> outputs = torch.zeros(4, 3, requires_grad=True)
    >>> read_loss(torch.nn.functional.cross_entropy(outputs.softmax(1), torch.zeros(4, dtype=torch.int64))).twice
    'softmax'
    """
    found = LossGraph()
    for place in _places(loss.grad_fn):
        node, name = place.node, _name(place.node)
        whole = place.factor > max(PART, 1.5 / rows if rows else 0.0)  # divided by fewer than the rows of the batch
        if hasattr(node, "_saved_reduction"):
            found.losses.append(name)
            found.negated |= place.negated
            found.summed |= whole and node._saved_reduction == SUM
        elif name == "Sum" and whole:
            found.summed |= _rows(node) == rows > 1
        before = _value(node)
        kind = "" if before is None else _name(before)
        if name in TAKES:
            given = before is not None and before is probabilities
            found.twice = TAKES[name] if kind == TAKES[name].capitalize() or given else found.twice
        elif name.startswith("NllLoss"):
            found.raw |= kind in RAW
            found.twice = "softmax without a logarithm" if kind == "Softmax" else found.twice
    found.shared = own is not None and any(id(leaf) not in own for leaf in _leaves(loss.grad_fn))
    return found


def _leaves(root: Any) -> Iterator[Tensor]:
    """The parameters that a loss depends on, as far as so many nodes reach."""
    waiting, met = [root], {root}
    while waiting and len(met) < MOST:
        node = waiting.pop()
        if hasattr(node, "variable"):
            yield node.variable
        after = [next_node for next_node, _ in node.next_functions if next_node is not None and next_node not in met]
        met.update(after)
        waiting += after


@dataclass(frozen=True)
class _Place:
    """A node, and what the way to it from the loss does with its value."""

    node: Any
    depth: int = 0
    negated: bool = False
    factor: float = 1.0  # that it is multiplied with; 0 where a mean is taken or the factor cannot be read


def _places(root: Any) -> Iterator[_Place]:
    """The nodes next to the loss, each by the shortest way."""
    waiting, met = [_Place(root)], set()
    while waiting:
        place = waiting.pop(0)
        node = place.node
        if node is None or node in met or place.depth > DEPTH:
            continue
        met.add(node)
        yield place
        negated = place.negated ^ (_name(node) == "Neg")
        factor = place.factor * _factor(node)
        waiting += [_Place(after, place.depth + 1, negated, factor) for after, _ in node.next_functions]


def _factor(node: Any) -> float:
    """What a node multiplies with: 0 for a mean, and where that is no single number or is gone."""
    name = _name(node)
    if name == "Mean" or getattr(node, "_saved_reduction", SUM) == MEAN:
        return 0.0
    if name not in ("Mul", "Div"):
        return 1.0
    try:
        other = node._saved_other
    except (AttributeError, RuntimeError):  # a node of another kind, or a graph that backward has freed
        return 0.0
    if other is None or (isinstance(other, Tensor) and other.numel() != 1):
        return 0.0
    size = abs(float(other.detach() if isinstance(other, Tensor) else other))
    return size if name == "Mul" else 1 / max(size, 1e-30)


def _value(node: Any) -> Any:
    """The node that made a node's input, shapes passed over."""
    after = node.next_functions[0][0] if node.next_functions else None
    while after is not None and _name(after) in SHAPES and after.next_functions:
        after = after.next_functions[0][0]
    return after


def _name(node: Any) -> str:
    """`SoftmaxBackward0` is Softmax."""
    return str(node.name()).partition("Backward")[0].rpartition("::")[2]


def _rows(node: Any) -> int:
    """The first side of what a sum was taken of."""
    sizes: tuple[int, ...] = getattr(node, "_saved_self_sym_sizes", ())
    return int(sizes[0]) if len(sizes) else 0

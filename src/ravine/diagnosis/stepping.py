"""The first steps of an optimizer, watched closely: what it holds, what it clears, and which way it goes.

Found by behaviour, for a rule may be any callable: a step that raises the loss at every size, gradients that are still there
after zero_grad, parameters that no group holds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ravine.diagnosis.case import Case
from ravine.diagnosis.trace import CLOSURES
from ravine.randomness import seeded

__all__ = ["Stepping", "first_steps"]

STEPS = 9
SIZES = (1e-2, 1e-3)  # of the loss: changes that a step is scaled to, small enough for the loss to be straight


@dataclass(frozen=True)
class Stepping:
    """What was seen.

    rise: the change of the loss along the first update over its size by the gradient: -1 downhill, 1 uphill; NaN where nothing
    moved or the two sizes disagree. kept: share of the steps before which the gradient of a step already made was still in a
    parameter the optimizer holds. unheld: names of parameters that get a gradient and are in no group. foreign: numbers in the
    groups that are not of the model. unregistered: shapes of tensors that the loss depends on, that want a gradient, and that
    are no parameters of the model.
    """

    rise: float = math.nan
    kept: float = 0.0
    held: int = 0
    unheld: tuple[str, ...] = ()
    foreign: int = 0
    unregistered: tuple[tuple[int, ...], ...] = ()


def first_steps(case: Case) -> Stepping:
    """Up to nine steps at the full rate on the first batches; nothing found where the model or the loss raises."""
    try:
        with seeded(case.seed, "stepping"):
            model = case.build().train()
            return _watch(case, model, case.optimizer(model))
    except Exception:
        return Stepping()


def _watch(case: Case, model: nn.Module, optimizer: torch.optim.Optimizer) -> Stepping:
    named = dict(model.named_parameters())
    own, held = {id(p) for p in named.values()}, [p for group in optimizer.param_groups for p in group["params"]]
    batches = list(_rows(case))
    loss = case.loss_of(model(case.x[batches[0]]), case.y[batches[0]])
    strangers = tuple(tuple(leaf.shape) for leaf in _leaves(loss) if id(leaf) not in own)
    loss.backward()
    ids = {id(p) for p in held}
    unheld = tuple(name for name, p in named.items() if p.grad is not None and id(p) not in ids)
    foreign = sum(p.numel() for p in held if id(p) not in own)
    for p in named.values():
        p.grad = None
    seen = Stepping(
        held=sum(p.numel() for p in held if id(p) in own), unheld=unheld, foreign=foreign, unregistered=strangers
    )
    if type(optimizer).__name__ in CLOSURES:
        return seen
    rise, kept, moved = math.nan, 0, False
    parameters = [p for p in named.values() if p.requires_grad]
    for step, rows in enumerate(batches):
        optimizer.zero_grad()
        kept += moved and any(p.grad is not None and bool(p.grad.any()) for p in parameters if id(p) in ids)
        x, y = case.x[rows], case.y[rows]
        case.loss_of(model(x), y).backward()
        grads = [None if p.grad is None else p.grad.clone() for p in parameters]
        before = [p.detach().clone() for p in parameters]
        optimizer.step()
        moves = [p.detach() - b for p, b in zip(parameters, before, strict=True)]
        moved = any(bool(move.any()) for move in moves)
        if step == 0 and moved:
            rise = _rise(case, model, parameters, before, moves, grads, x, y)
    return dataclasses.replace(seen, rise=rise, kept=kept / max(1, len(batches) - 1))


def _rows(case: Case) -> Iterator[Tensor]:
    size, order = min(case.batch_size, len(case.x)), case.rows(0)
    for step in range(STEPS):
        start = (step % case.steps_per_epoch) * size
        yield order[start : start + size]


def _rise(
    case: Case,
    model: nn.Module,
    parameters: list[nn.Parameter],
    before: list[Tensor],
    moves: list[Tensor],
    grads: list[Tensor | None],
    x: Tensor,
    y: Tensor,
) -> float:
    """The change of the loss along an update over what the gradient's size along it says; NaN where two sizes disagree."""
    after = [p.detach().clone() for p in parameters]
    slope = sum(float((g.double() * m.double()).sum()) for g, m in zip(grads, moves, strict=True) if g is not None)

    def at(size: float) -> float:
        with torch.no_grad(), seeded(case.seed, "rise"):  # the same dropout masks at every place
            for p, b, m in zip(parameters, before, moves, strict=True):
                p.copy_(b + size * m)
            return float(case.loss_of(model(x), y))

    buffers = [b.clone() for b in model.buffers()]
    here, rises = at(0.0), []
    for share in SIZES:
        size = min(1.0, share * max(abs(here), 1e-6) / abs(slope)) if slope else 0.0
        rises.append((at(size) - here) / (size * abs(slope)) if size else math.nan)
    with torch.no_grad():
        for p, a in zip(parameters, after, strict=True):
            p.copy_(a)
        for b, was in zip(model.buffers(), buffers, strict=True):
            b.copy_(was)
    return rises[0] if all(r > 0 for r in rises) or all(r < 0 for r in rises) else math.nan


def _leaves(loss: Tensor) -> list[Tensor]:
    """Tensors without a history that want the gradient of a loss."""
    found: list[Tensor] = []
    seen: set[object] = set()
    waiting = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, Tensor):
            found.append(leaf)
        waiting += [following for following, _ in node.next_functions]
    return found

"""One step of a person's loop looked at closely: hooks from the end of the step before to the end of this one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ravine.diagnosis.loss_graph import LossGraph, read_loss
from ravine.diagnosis.watched import Sight, Watched

__all__ = ["CloseLook"]

PROBES = 2
"""Parameters on which it is seen whether gradients are cleared: the smallest, as each is copied at every backward."""

RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Threshold)

ROWS = 16
"""On fewer rows a unit that answers seldom looks dead."""


@dataclass(frozen=True, eq=False)
class _Pass:
    """The last forward pass in which gradients were kept."""

    training: bool
    given: Tensor | None  # the first tensor among the inputs
    out: Tensor | None

    @property
    def rows(self) -> int:
        return len(self.out) if self.out is not None and self.out.ndim else 0


@dataclass(eq=False)
class CloseLook:
    """Hooks on a model and its optimizers, and what they see. curious: note which layers run."""

    model: nn.Module
    optimizers: Sequence[torch.optim.Optimizer]
    curious: bool = False
    handles: list[Any] = field(default_factory=list)
    seen: _Pass | None = None
    part: _Pass | None = (
        None  # likewise of the model's parts, which some loops call instead; training where one of them is
    )
    zeros: dict[str, Tensor] = field(default_factory=dict)  # by layer: which units are 0 on all rows
    called: set[str] = field(default_factory=set)  # modules that ran
    met: dict[str, Tensor | None] = field(default_factory=dict)  # of each probe: its gradient before it is added to
    fresh: list[bool | Tensor] = field(default_factory=list)  # at each addition: was there anything to add to?
    values: list[Tensor] = field(default_factory=list)  # of the first optimizer's parameters, before its step
    dropped: bool = False  # gradients came, and are gone when the step is made

    def __post_init__(self) -> None:
        self.named = list(self.model.named_parameters())
        self.held = {id(p): group for one in self.optimizers for group in one.param_groups for p in group["params"]}
        stepping = {id(p) for group in self.optimizers[0].param_groups for p in group["params"]}
        self.mine = [(name, p) for name, p in self.named if id(p) in stepping]  # the others may move later
        self.handles.append(self.optimizers[0].register_step_pre_hook(self._before))
        if self.model._compiled_call_impl is None:
            self.handles.append(self.model.register_forward_hook(self._passed))
            for part in _trained_parts(self.model):
                self.handles.append(part.register_forward_hook(self._passed_in_part))
        for name, module in _readable(self.model):
            if self.curious or isinstance(module, RECTIFIERS):
                self.handles.append(module.register_forward_hook(self._ran(name)))
        wanting = [(name, p) for name, p in self.mine or self.named if p.requires_grad and p.is_leaf]
        smallest = sorted(wanting, key=lambda pair: pair[1].numel())[:PROBES]
        self.probes = [p for _, p in smallest]
        for name, p in smallest:
            self.handles.append(p.register_hook(self._coming(name, p)))
            self.handles.append(p.register_post_accumulate_grad_hook(self._came(name)))

    def _passed(self, module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
        if torch.is_grad_enabled():  # else an evaluation between two steps
            given = next((part for part in inputs if isinstance(part, Tensor)), None)
            self.seen = _Pass(module.training, given, out if isinstance(out, Tensor) else None)

    def _passed_in_part(self, module: nn.Module, inputs: tuple[Any, ...], out: Any) -> None:
        if torch.is_grad_enabled() and isinstance(out, Tensor) and out.ndim:
            given = next((one for one in inputs if isinstance(one, Tensor)), None)
            training = module.training or (self.part is not None and self.part.training)
            self.part = _Pass(training, given, out)

    def _ran(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, _: Any, out: Any) -> None:
            if not torch.is_grad_enabled():
                return
            self.called.add(name)
            if isinstance(module, RECTIFIERS) and isinstance(out, Tensor) and out.ndim > 1 and len(out) >= ROWS:
                zero = out.detach() == 0
                self.zeros[name] = zero.transpose(0, 1).flatten(1).all(1)

        return hook

    def _coming(self, name: str, p: Tensor) -> Callable[[Tensor], None]:
        def hook(_: Tensor) -> None:
            self.met[name] = None if p.grad is None else p.grad.detach().clone()

        return hook

    def _came(self, name: str) -> Callable[[Tensor], None]:
        def hook(_: Tensor) -> None:
            before = self.met.get(name)
            self.fresh.append(True if before is None else ~before.any())

        return hook

    def read(self, loss: Tensor) -> LossGraph:
        """What the loss is made of."""
        seen = self.seen or self.part
        node = seen.out.grad_fn if seen is not None and seen.out is not None else None
        compiled = node is not None and "Compiled" in node.name()
        known = node if compiled and seen is not None and _probabilities(seen.out) else None
        own = {id(p) for _, p in self.named}
        return read_loss(loss, rows=seen.rows if seen is not None else 0, probabilities=known, own=own)

    def _before(self, *_: Any) -> None:
        """The optimizer is about to step; with a closure its gradients are yet to come."""
        self.values = [p.detach().clone() for _, p in self.mine]
        grads = [p.grad for _, p in self.mine if p.grad is not None]
        self.dropped = bool(self.fresh) and not any(bool(grad.any()) for grad in grads)

    def after(self, watched: Watched) -> Sight:
        """What was seen, the hooks taken off."""
        self.close()
        seen = self.seen or self.part
        grads = {name: p.grad.detach() for name, p in self.named if p.grad is not None}
        with torch.no_grad():
            moved = torch._foreach_sub([p for _, p in self.mine], self.values) if self.values else []
        norms = _norms([*moved, *self.values, *grads.values()])
        moves, sizes = norms[: len(moved)], norms[len(moved) : 2 * len(moved)]
        sound = all(map(math.isfinite, norms))
        return Sight(
            step=watched.steps,
            rows=seen.rows if seen is not None else 0,
            evaluating=seen is not None and not seen.training and _has_modes(self.model),
            finite_input=sound or seen is None or _finite(seen.given),
            added=not any(map(bool, self.fresh)) if self.fresh and watched.steps > 1 else None,
            dropped=self.dropped,
            grads=dict(zip(grads, norms[2 * len(moved) :], strict=True)),
            moves=dict(zip((name for name, _ in self.mine), moves, strict=False)),
            move=_total(moves) / (_total(sizes) or 1.0),
            dead={name: float(zero.float().mean()) for name, zero in self.zeros.items()},
            unheld=self._unheld(watched),
            without=tuple(name for name, p in self.mine if p.requires_grad and p.grad is None),
            called=frozenset(self.called),
            held=sum(id(p) in self.held for _, p in self.named),
            foreign=self._foreign(),
            names=tuple((name, p.numel()) for name, p in self.named),
            still=tuple(name for (name, p) in self.mine if self.held[id(p)].get("lr") == 0),
            maximize=any(group.get("maximize", False) for group in self.held.values()),
        )

    def _unheld(self, watched: Watched) -> tuple[str, ...]:
        """Parameters with a gradient that no optimizer holds and nothing has moved since the last look."""
        found = []
        for name, p in self.named:
            if id(p) in self.held or p.grad is None:
                continue
            last = watched.others.get(name)
            if last is not None and torch.equal(last, p.detach()):
                found.append(name)
            else:
                watched.others[name] = p.detach().clone()
        return tuple(found)

    def _foreign(self) -> tuple[int, int]:
        """Parameters that an optimizer holds and that are not the model's: how many, and how many of them with a gradient."""
        own = {id(p) for _, p in self.named}
        others = [
            p for one in self.optimizers for group in one.param_groups for p in group["params"] if id(p) not in own
        ]
        return len(others), sum(p.grad is not None for p in others)

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles.clear()
        for probe in self.probes:
            _freed(probe)


def _freed(p: Tensor) -> None:
    """Take away what hooks leave behind on a tensor: backward would call into their empty lists at every step."""
    for name in ("_backward_hooks", "_post_accumulate_grad_hooks"):
        if getattr(p, name) is not None and not getattr(p, name):
            setattr(p, name, None)


def _readable(model: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules by name, those that are compiled left out: a hook would become a part of their code."""
    if hasattr(model, "_orig_mod") or model._compiled_call_impl is not None:
        return
    yield name, model
    for part, child in model._modules.items():
        if child is not None:
            yield from _readable(child, f"{name}.{part}" if name else part)


def _trained_parts(model: nn.Module) -> list[nn.Module]:
    """The model's children that are to learn: a frozen one (a teacher, a measure of likeness) runs in a mode of its own."""
    children = (
        child for child in model.children() if not hasattr(child, "_orig_mod") and child._compiled_call_impl is None
    )
    return [child for child in children if any(p.requires_grad for p in child.parameters())]


def _has_modes(model: nn.Module) -> bool:
    """Does anything in the model differ between training and evaluation, frozen normalization apart?"""
    return any(
        (isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0)
        or (
            isinstance(m, nn.modules.batchnorm._NormBase)
            and m.track_running_stats
            and any(p.requires_grad for p in m.parameters())
        )
        for m in model.modules()
    )


def _probabilities(out: Tensor | None) -> bool:
    """Do the rows of an output add up to 1, none of them negative?"""
    if out is None or out.ndim < 2 or out.shape[1] < 2 or not out.is_floating_point():
        return False
    sums = out.detach().sum(1)
    return bool((out.detach() >= 0).all()) and bool(((sums - 1).abs() < 1e-3).all())


def _finite(given: Tensor | None) -> bool:
    return given is None or not given.is_floating_point() or bool(torch.isfinite(given).all())


def _norms(tensors: Sequence[Tensor]) -> list[float]:
    whole = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    if not whole:
        return []
    norms = torch._foreach_norm(whole)
    if len({(n.device, n.dtype) for n in norms}) > 1:
        return [float(n) for n in norms]
    found: list[float] = torch.stack(norms).tolist()
    return found


def _total(norms: Sequence[float]) -> float:
    return math.hypot(*norms)

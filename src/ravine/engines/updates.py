"""Ways to run a rule over packed parameters: compiled; as it is; by torch's kernels; and each parameter by itself.

Letters in shapes: K trials, P parameters of one trial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.func import vmap

from ravine.engines.compiled import Addresses, CompiledRule, addresses, compiled
from ravine.engines.compiled_step import Move
from ravine.engines.from_torch import FromTorch, FromTorchUpdate
from ravine.engines.fused import Kernel, kernel_of
from ravine.engines.packing import Layout
from ravine.engines.stacking import one_trial, per_trial, stack_rules, take_trials, with_momentum, without_decay
from ravine.rules import Rule
from ravine.rules.rule import narrow

__all__ = ["CompiledUpdate", "FusedUpdate", "MappedUpdate", "PackedUpdate", "Update", "update_for"]

FEWEST = 512  # parameters of a trial below which packed memory is as fast as a kernel


class Update(Protocol):
    """A rule at work on a packed buffer, with its state."""

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        """Move `flat`, [K, P], in place, with K rates; returns the change of each parameter, [K, P].

        It may take the place of the gradients, which nobody needs any more: a buffer of its own would be a fifth of
        what a population holds.
        """
        ...

    def set_momentum(self, values: Sequence[float]) -> None:
        """Give each trial another momentum from the next step on; a rule that has none is left alone."""
        ...

    def settled(self, flat: Tensor) -> Tensor:
        """The parameters to evaluate and to hand out, [K, P]: `flat` itself unless the rule averages on the side."""
        ...

    def keep(self, index: Tensor) -> None:
        """Forget all trials but `index`."""
        ...

    def snapshot(self) -> Any:
        """The rule's state as lists of tensors: the ones in use, so write them down before the next step."""
        ...

    def restore(self, saved: Any) -> None:
        """Go on from the snapshot of an update of the same rules and trials. A cycle of the momentum sets it anew."""
        ...


class Elementwise:
    """What updates of elementwise rules share: none averages on the side, so what is trained is what is kept."""

    rules: list[Rule]
    """One rule for all trials twice: for the parameters that decay, and for the others."""

    def settled(self, flat: Tensor) -> Tensor:
        return flat

    def set_momentum(self, values: Sequence[float]) -> None:
        self.rules = [with_momentum(rule, per_trial(values)) for rule in self.rules]


def update_for(rules: Sequence[Rule], layout: Layout, flat: Tensor) -> Update:
    """The fastest way that the rules allow. Raises SettingError when they are of different kinds or structures."""
    foreign = [rule for rule in rules if isinstance(rule, FromTorch)]
    if foreign and len(foreign) == len(rules):
        return FromTorchUpdate(foreign, layout, flat)
    stacked = stack_rules(rules, flat.device)
    if not stacked.elementwise:
        return MappedUpdate(stacked, layout, flat)
    if layout.size >= FEWEST:
        if flat.device.type == "cpu" and (code := compiled(stacked, flat.dtype)):
            return CompiledUpdate(code, stacked, layout, flat)
        if kernel := kernel_of(rules[0], flat.dtype, flat.device):
            return FusedUpdate(kernel, rules, layout, flat)
    return PackedUpdate(stacked, layout, flat)


def refilled(like: Any, saved: Sequence[Tensor | None]) -> Any:
    """A state like `like`, on its device, with copies of what was saved."""
    pairs = zip(like, saved, strict=True)
    return type(like)(*(None if kept is None else kept.to(own.device, copy=True) for own, kept in pairs))


def rows(state: Any, index: Tensor) -> Any:
    """A state (a NamedTuple of tensors or None) for the trials `index` alone."""
    return type(state)(*(None if t is None else t[index] for t in state))


class PackedUpdate(Elementwise):
    """An elementwise rule over two slices of the buffer: the parameters that decay, and the others."""

    def __init__(self, rule: Rule, layout: Layout, flat: Tensor) -> None:
        self.cuts = [slice(0, layout.decayed), slice(layout.decayed, layout.size)]
        self.rules = [rule, without_decay(rule)]
        self.states = [rule.init(flat[:, cut]) for cut in self.cuts]

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        rates = per_trial(lr, flat.device)
        found = [
            rule.update(flat[:, cut], grads[:, cut], state, lr=rates, step=step)
            for cut, rule, state in zip(self.cuts, self.rules, self.states, strict=True)
        ]  # all, before anything moves: a rule that raises leaves the weights as they were
        for cut, (moved, _) in zip(self.cuts, found, strict=True):
            torch.sub(moved, flat[:, cut], out=grads[:, cut])
            flat[:, cut] = moved
        self.states = [state for _, state in found]
        return grads

    def keep(self, index: Tensor) -> None:
        self.rules = [take_trials(rule, index) for rule in self.rules]
        self.states = [rows(state, index) for state in self.states]

    def snapshot(self) -> list[list[Tensor | None]]:
        return [list(state) for state in self.states]

    def restore(self, saved: Any) -> None:
        self.states = [refilled(*pair) for pair in zip(self.states, saved, strict=True)]


class CompiledUpdate(Elementwise):
    """An elementwise rule in one pass over all trials, each with its own numbers."""

    def __init__(self, code: CompiledRule, rule: Rule, layout: Layout, flat: Tensor) -> None:
        self.code, self.layout = code, layout
        self.rules = [rule, without_decay(rule)]
        self.state = rule.init(flat)

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        places = [self._starts(t) for t in (flat, grads, *self.state) if t is not None]
        self.code.call(self._sizes(len(flat)), places, self._numbers(lr, step).flatten().tolist(), change=places[1])
        return grads

    def move(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Move:
        """The same step for other C to take, trial by trial."""
        fields = [t for t in (flat, grads, *self.state) if t is not None]
        assert all(t.is_contiguous() and t.dtype == self.code.dtype for t in fields)
        return Move(self.code.rows, self.layout.decayed, self._numbers(lr, step), fields)

    def _numbers(self, lr: Sequence[float], step: int) -> Tensor:
        """The sign of the gradient and the C numbers, [2K, 1 + C]: of a trial's weights that decay, of its others."""
        rates = per_trial(lr)
        first = _table(self.rules[0].coefficients(rates, step), len(lr))
        decay = getattr(self.rules[0], "weight_decay", 0.0)
        nothing = not isinstance(decay, Tensor) and decay == 0
        others = first if nothing else _table(self.rules[1].coefficients(rates, step), len(lr))
        return torch.stack([first, others], dim=1).flatten(0, 1)

    def _sizes(self, trials: int) -> list[int]:
        return [self.layout.decayed, self.layout.size - self.layout.decayed] * trials

    def _starts(self, packed: Tensor) -> Addresses:
        """Where in a tensor like flat, [K, P], the two parts of each trial begin."""
        assert packed.is_contiguous()
        assert packed.dtype == self.code.dtype
        base, size = packed.data_ptr(), packed.itemsize
        row, part = self.layout.size * size, self.layout.decayed * size
        return addresses([base + k * row + start for k in range(len(packed)) for start in (0, part)])

    def keep(self, index: Tensor) -> None:
        self.rules = [take_trials(rule, index) for rule in self.rules]
        self.state = rows(self.state, index)

    def snapshot(self) -> list[Tensor | None]:
        return list(self.state)

    def restore(self, saved: Any) -> None:
        self.state = refilled(self.state, saved)


def _table(by: Any, trials: int) -> Tensor:
    """The sign of the gradient and the numbers of a step for each trial, [K, 1 + C] float64."""
    columns = [torch.as_tensor(v, dtype=torch.float64).reshape(-1).expand(trials) for v in (1.0, *by)]
    return torch.stack(columns, dim=1)


class FusedUpdate(Elementwise):
    """Rules of one kind by a kernel of torch's, trial by trial: the parameters that decay, then the others."""

    def __init__(self, kernel: Kernel, rules: Sequence[Rule], layout: Layout, flat: Tensor) -> None:
        self.cuts = [slice(0, layout.decayed), slice(layout.decayed, layout.size)]
        self.kernel = kernel
        self.pairs = [[rule, without_decay(rule)] for rule in rules]
        self.states = [[rule.init(row[cut]) for cut in self.cuts] for rule, row in zip(rules, flat, strict=True)]

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        for k, (rules, states) in enumerate(zip(self.pairs, self.states, strict=True)):
            before = flat[k].clone()
            for cut, rule, state in zip(self.cuts, rules, states, strict=True):
                held = [[t] for t in state if t is not None]
                self.kernel(rule, [flat[k, cut]], [grads[k, cut]], held, lr[k], step, False)
            torch.sub(flat[k], before, out=grads[k])
        return grads

    def set_momentum(self, values: Sequence[float]) -> None:
        self.pairs = [
            [with_momentum(rule, value) for rule in pair] for pair, value in zip(self.pairs, values, strict=True)
        ]

    def keep(self, index: Tensor) -> None:
        self.pairs = [self.pairs[k] for k in index.tolist()]
        self.states = [self.states[k] for k in index.tolist()]

    def snapshot(self) -> list[list[list[Tensor | None]]]:
        return [[list(state) for state in pair] for pair in self.states]

    def restore(self, saved: Any) -> None:
        pairs = zip(self.states, saved, strict=True)
        self.states = [[refilled(*each) for each in zip(own, kept, strict=True)] for own, kept in pairs]


class MappedUpdate:
    """A rule with a norm or a matrix in it: each parameter by itself, trials mapped with vmap."""

    def __init__(self, rule: Rule, layout: Layout, flat: Tensor) -> None:
        self.layout = layout
        plain = without_decay(rule)
        self.rules = {name: rule if name in layout.decaying else plain for name in layout.shapes}
        self.states = {name: _stacked([rule.init(one) for one in param]) for name, param in layout.views(flat).items()}

    def step(self, flat: Tensor, grads: Tensor, lr: Sequence[float], step: int) -> Tensor:
        slopes, rates = self.layout.views(grads), per_trial(lr, flat.device)
        params, found, states = self.layout.views(flat), dict[str, Tensor](), dict[str, Any]()
        for name, param in params.items():
            by = narrow(self.rules[name].coefficients(rates, step), param)
            by = type(by)(*(v.flatten() if isinstance(v, Tensor) else v for v in by))  # [K], one number a trial
            dims = type(by)(*(0 if isinstance(v, Tensor) else None for v in by))
            held = self.states[name]
            one = _without_gaps(self.rules[name], held)
            found[name], tensors = vmap(one, in_dims=(0, 0, 0, dims))(
                param, slopes[name], [t for t in held if t is not None], by
            )
            states[name] = _refill(held, tensors)
        change = torch.empty_like(flat)  # only now, when no rule has raised, anything moves
        for name, view in self.layout.views(change).items():
            torch.sub(found[name], params[name], out=view)
            params[name].copy_(found[name])
        self.states = states
        return change

    def set_momentum(self, values: Sequence[float]) -> None:
        self.rules = {name: with_momentum(rule, per_trial(values)) for name, rule in self.rules.items()}

    def settled(self, flat: Tensor) -> Tensor:
        if not any(type(rule).settled is not Rule.settled for rule in self.rules.values()):
            return flat
        kept = flat.clone()
        for name, param in self.layout.views(kept).items():
            for k in range(len(flat)):
                alone, state = one_trial(self.rules[name], k), rows(self.states[name], torch.tensor(k))
                param[k] = alone.settled(param[k], state)
        return kept

    def keep(self, index: Tensor) -> None:
        self.rules = {name: take_trials(rule, index) for name, rule in self.rules.items()}
        self.states = {name: rows(state, index) for name, state in self.states.items()}

    def snapshot(self) -> dict[str, list[Tensor | None]]:
        return {name: list(state) for name, state in self.states.items()}

    def restore(self, saved: Any) -> None:
        self.states = {name: refilled(state, saved[name]) for name, state in self.states.items()}


def _stacked(states: Sequence[Any]) -> Any:
    """The states of K trials as one, each tensor [K, *shape]."""
    return type(states[0])(*(None if each[0] is None else torch.stack(each) for each in zip(*states, strict=True)))


def _refill(state: Any, tensors: Sequence[Tensor]) -> Any:
    """A state like `state` that holds `tensors` where it holds tensors, and None where it holds None."""
    left = iter(tensors)
    return type(state)(*(None if t is None else next(left) for t in state))


def _without_gaps(rule: Rule, like: Any) -> Callable[..., tuple[Tensor, list[Tensor]]]:
    """rule.apply over the tensors of a state alone: vmap takes and returns no None."""

    def one(param: Tensor, grad: Tensor, tensors: Sequence[Tensor], by: Any) -> tuple[Tensor, list[Tensor]]:
        moved, state = rule.apply(param, grad, _refill(like, tensors), by)
        return moved, [t for t in state if t is not None]

    return one
